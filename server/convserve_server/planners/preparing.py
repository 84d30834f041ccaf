"""Has what a piece of work needs on a GPU built, and kept, before the work is given there."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import ParamSpec, TypeAlias, TypeVar

import msgspec
from convserve.errors import TooLargeError, UnavailableError

from convserve_server.engines.cuda.graphs import ConvGraph, Prepared
from convserve_server.engines.cuda.plan_keys import BuildTarget, key_of
from convserve_server.engines.cuda.plan_store import FRESH_SECONDS, PlanStore, folder_error
from convserve_server.engines.cuda.recipe import Instance
from convserve_server.planners.builds import KernelRequest, PlanRequest, decode_built, encode
from convserve_server.planners.flights import Flights
from convserve_server.planners.pool import PlannerPool, TaskError
from convserve_server.planning.devices.properties import DeviceProperties
from convserve_server.planning.kernels import Policy

Needed: TypeAlias = ConvGraph | Instance
# Told of everything that is needed: whether it is a `plan` or a `kernel`, whether it came from
# `memory`, `disk` or was `built`, and the seconds that took.
Listener: TypeAlias = Callable[[str, str, float], None]

P = ParamSpec("P")
T = TypeVar("T")

PASSING_SECONDS = 3600.0  # that a failure is kept which may pass


class PreparedPlans:
    """What cuDNN has for one kind of GPU under one policy: `Plans`, as lowering asks for them.

    It has all that was prepared, and of other things what is in memory. Any thread may ask it.
    """

    def __init__(
        self,
        policy: Policy,
        found: Mapping[Needed, Prepared],
        recall: Callable[[ConvGraph], Prepared | None],
    ) -> None:
        self.workspace_limit_bytes = policy.workspace_limit_bytes
        self._found = found
        self._recall = recall

    def find(self, graph: ConvGraph) -> Prepared | None:
        """CuDNN's plan for a graph, or its failure; None if it must be asked."""
        return self._found.get(graph) or self._recall(graph)


class Preparer:
    """Has plans and kernels for one kind of GPU built by the processes of `pool`, each once.

    Used from one event loop.
    """

    def __init__(
        self,
        pool: PlannerPool,
        store: PlanStore,
        properties: DeviceProperties,
        at_once: int,
        listener: Listener = lambda what, source, seconds: None,
    ) -> None:
        """At most `at_once` are looked for or built at a time."""
        self._pool = pool
        self._store = store
        self._properties = properties
        self._turns = asyncio.Semaphore(at_once)
        self._listener = listener
        self._flights: Flights[str, Prepared] = Flights()

    def known(self, policy: Policy, max_age: float = FRESH_SECONDS) -> PreparedPlans:
        """What is in memory, and was in the folder at most `max_age` seconds ago."""
        return self._plans(policy, {}, max_age)

    def doubt(self) -> None:
        """What was built may have gone from the folder: have it looked for there."""
        self._store.doubt()

    async def prepare(
        self, graphs: Iterable[ConvGraph], instances: Iterable[Instance], policy: Policy
    ) -> PreparedPlans:
        """Have all of these built and in the store. That cuDNN has none for a graph is kept too.

        Raises UnavailableError, and what `PlannerPool.run` raises, for what was not to be had.
        """
        target = BuildTarget(self._properties, policy)
        needed: dict[Needed, None] = dict.fromkeys((*graphs, *instances))
        found = {what: self._store.recall(key_of(what, target)) for what in needed}
        missing = [what for what, prepared in found.items() if prepared is None]
        for what in needed.keys() - missing:
            self._listener(_kind(what), "memory", 0.0)
        fetched = await self._fetch_all(missing, target)
        return self._plans(policy, {what: found[what] or fetched[what] for what in needed})

    def _plans(
        self, policy: Policy, found: Mapping[Needed, Prepared], max_age: float = FRESH_SECONDS
    ) -> PreparedPlans:
        target = BuildTarget(self._properties, policy)

        def recall(graph: ConvGraph) -> Prepared | None:
            return self._store.recall(key_of(graph, target), max_age)

        return PreparedPlans(policy, found, recall)

    async def _fetch_all(
        self, missing: Iterable[Needed], target: BuildTarget
    ) -> dict[Needed, Prepared]:
        """The first failure ends the waiting for the others; what is being built is finished."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {what: group.create_task(self._join(what, target)) for what in missing}
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return {what: task.result() for what, task in tasks.items()}

    async def _join(self, what: Needed, target: BuildTarget) -> Prepared:
        key = key_of(what, target)
        return await self._flights.join(key, lambda: self._fetch(key, what, target))

    async def _fetch(self, key: str, what: Needed, target: BuildTarget) -> Prepared:
        """What is kept, or else what is built now."""
        async with self._turns:
            start = time.perf_counter()
            prepared = await _on_disk(self._store.get, key)
            source = "disk"
            if prepared is None:
                prepared = await self._build(key, what, target)
                source = "built"
            self._listener(_kind(what), source, time.perf_counter() - start)
            return prepared

    async def _build(self, key: str, what: Needed, target: BuildTarget) -> Prepared:
        task, request = _task_for(what, target)
        try:
            built = decode_built(await self._pool.run(task, request))
        except TooLargeError as error:  # it is the server's, and not the caller's, that is
            raise UnavailableError(
                f"what this call needs on the GPU could not be built: {error.message}",
                metadata=error.metadata,
            ) from None
        except msgspec.MsgspecError as error:
            raise TaskError(f"what {task} built cannot be read: {error}") from error
        seconds = math.inf if built.lasts else PASSING_SECONDS
        await _on_disk(self._store.put, key, built.prepared, seconds)
        return built.prepared


async def _on_disk(work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """What blocking work with the store gives."""
    try:
        return await asyncio.to_thread(work, *arguments, **options)
    except OSError as error:
        raise folder_error(error) from error


def _task_for(what: Needed, target: BuildTarget) -> tuple[str, bytes]:
    """The task that builds it, and its request."""
    if isinstance(what, Instance):
        return "cuda_compile", encode(KernelRequest(what, target.architecture))
    return "cudnn_build", encode(PlanRequest(target.properties, what, target.policy))


def _kind(what: Needed) -> str:
    return "kernel" if isinstance(what, Instance) else "plan"
