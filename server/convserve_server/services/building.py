"""Work for a GPU made ready: what it takes there is built before it is queued."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen
from convserve.errors import ConvserveError
from convserve.runs import RunOptions

from convserve_server.cache import ByteCache
from convserve_server.engines.base import STRICT, DeviceFacts
from convserve_server.engines.cuda.advice import (
    WORKSPACE_LIMIT_BYTES,
    CudaAdvisor,
    workspace_limits,
)
from convserve_server.engines.cuda.graphs import ConvGraph
from convserve_server.engines.cuda.plan_store import PlanStore
from convserve_server.engines.cuda.targets import STORE_BYTES, target_of
from convserve_server.planners.pool import PlannerPool, TaskError
from convserve_server.planners.preparing import Listener, Preparer
from convserve_server.planning.kernels import Policy
from convserve_server.planning.program import (
    Advice,
    Advisor,
    OperationStep,
    Program,
    Step,
    Survey,
    Work,
)
from convserve_server.planning.tiling import rebatched
from convserve_server.workers.messages import decode_work

EXPECTED_BYTES = 4 << 20  # of works whose batches have been built

_LOG = logging.getLogger(__name__)


@frozen(eq=False)
class Frugal(Advisor):
    """What is known of a GPU of `memory_bytes` with ever smaller workspaces of cuDNN.

    Work runs with the largest with which it fits; `advisors` are in that order.
    """

    advisors: tuple[CudaAdvisor, ...]
    memory_bytes: int

    def working_bytes(self, work: Work) -> int:
        """See `Advisor`: the least if it fits with none."""
        for advisor in self.advisors:
            byte_count = advisor.working_bytes(work)
            if byte_count <= self.memory_bytes:
                break
        return byte_count

    def survey(self, steps: Sequence[Step], outputs: Sequence[str]) -> Survey:
        """See `Advisor`."""
        return self.advisors[0].survey(steps, outputs)

    def advise(self, step: Step | OperationStep) -> Advice:
        """See `Advisor`."""
        return self.advisors[0].advise(step)


def _policies(precision: str) -> list[Policy]:
    """In the order in which the engine tries them."""
    return [Policy(precision, limit) for limit in workspace_limits(WORKSPACE_LIMIT_BYTES)]


def prepare_gpus(
    facts: DeviceFacts,
    *,
    pool: PlannerPool,
    folder: Path,
    at_once: int,
    listener: Listener,
) -> GpuPreparation:
    """What prepares GPUs like the one that a worker told of."""
    target = target_of(facts, STRICT, WORKSPACE_LIMIT_BYTES)
    store = PlanStore(folder, STORE_BYTES)
    preparer = Preparer(pool, store, target.properties, at_once, listener)
    return GpuPreparation(preparer, facts.memory_bytes)


class GpuPreparation:
    """Has plans and kernels built for the GPUs of one kind, of `memory_bytes`. See `Preparation`.

    Works are lowered in a thread: that of a long network takes tens of milliseconds.
    """

    def __init__(self, preparer: Preparer, memory_bytes: int) -> None:
        self._preparer = preparer
        self._memory_bytes = memory_bytes
        self._expected: ByteCache[tuple[bytes, int, str, str], bool] = ByteCache(EXPECTED_BYTES)
        self._growth: asyncio.Task[None] | None = None

    async def prepare(self, works: Sequence[Work], options: RunOptions) -> Advisor:
        """See `Preparation`. Raises what `Preparer.prepare` raises."""
        policies, layout = _policies(options.precision), options.layout
        for work in works:
            await self._build(work, policies, layout)
        # However old: who does not know of a plan any more counts another recipe's bytes.
        plans = (self._preparer.known(policy, max_age=math.inf) for policy in policies)
        known = (CudaAdvisor(plans=each, layout=layout) for each in plans)
        return Frugal(tuple(known), self._memory_bytes)

    def expect(self, work: bytes, rows: int, precision: str, layout: str) -> None:
        """See `Preparation`. One at a time: whatever is expected meanwhile is so again.

        What could not be built is not tried again: calls are computed without it.
        """
        key = (work, rows, precision, layout)
        if self._expected.get(key) or (self._growth and not self._growth.done()):
            return
        self._expected.put(key, True, len(work))
        self._growth = asyncio.create_task(self._grow(work, rows, precision, layout))

    async def _grow(self, work: bytes, rows: int, precision: str, layout: str) -> None:
        program = decode_work(work)
        assert isinstance(program, Program)  # nothing else has rows
        try:
            await self._build(rebatched(program, rows), _policies(precision), layout)
        except (ConvserveError, TaskError) as error:  # calls are computed in smaller batches
            _LOG.warning("no batch of %d rows was built: %s", rows, error)

    def doubt(self) -> None:
        """See `Preparation`."""
        self._expected.drop(lambda key: True)
        self._preparer.doubt()

    async def close(self) -> None:
        """See `Preparation`."""
        if self._growth is not None:
            self._growth.cancel()
            await asyncio.wait((self._growth,))

    async def _build(self, work: Work, policies: Sequence[Policy], layout: str) -> None:
        """Build for the first policy with which the work fits, as the engine looks for it."""
        for policy in policies:
            advisor = await self._build_within(work, policy, layout)
            if await asyncio.to_thread(advisor.working_bytes, work) <= self._memory_bytes:
                return

    async def _build_within(self, work: Work, policy: Policy, layout: str) -> CudaAdvisor:
        graphs: dict[ConvGraph, None] = {}
        advisor = CudaAdvisor(plans=self._preparer.known(policy), layout=layout)
        while True:  # with what is built known, something else may be wanted
            wanted = await asyncio.to_thread(advisor.wanted, work)
            graphs |= dict.fromkeys(wanted.graphs)
            plans = await self._preparer.prepare(graphs, wanted.instances, policy)
            advisor = CudaAdvisor(plans=plans, layout=layout)
            if not wanted.graphs:
                return advisor
