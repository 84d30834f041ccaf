"""Jobs from their acceptance to their end, and the errors that they may end with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import attrs
from convserve.errors import (
    ConvserveError,
    DrainingError,
    InternalError,
    WorkerDiedError,
    from_status,
)
from google.rpc import status_pb2

from convserve_server.observability.logs import fields
from convserve_server.workers.jobs import Job
from convserve_server.workers.memory import Owned
from convserve_server.workers.messages import Done, Failure, Forget, Run, Success

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Pending:
    """One job; whoever made it waits for `outcome`. It holds its regions until `end`."""

    id: int
    job: Job
    outcome: asyncio.Future[Success]
    regions: set[Owned] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.regions = self.job.regions
        for region in self.regions:
            region.hold()

    def succeed(self, result: Success) -> None:
        """Give the result to whoever still waits for it."""
        if not self.outcome.done():
            self.outcome.set_result(result)

    def fail(self, error: ConvserveError) -> None:
        """Give the error to whoever still waits."""
        if not self.outcome.done():
            self.outcome.set_exception(error)

    def end(self) -> None:
        """Let go of the memory: no process writes it any more for this job."""
        for region in self.regions:
            region.drop()


@attrs.define(eq=False)
class Sent:
    """A request that a worker has, and who waits for it: the parts of a batch, or `ended`."""

    request: Run | Forget
    pendings: tuple[Pending, ...] = ()
    ended: asyncio.Future[None] | None = None
    runaway_timer: asyncio.TimerHandle | None = None

    @property
    def is_abandoned(self) -> bool:
        """Whether it is computed for nobody."""
        return bool(self.pendings) and all(p.outcome.cancelled() for p in self.pendings)

    def settle(self, done: Done) -> None:
        """Give each part its result, or why it has none."""
        for number, pending in enumerate(self.pendings):
            outcome = done.outcome(number)
            if isinstance(outcome, Success):
                pending.succeed(outcome)
            else:
                pending.fail(error_of(outcome, pending.job.request_id))
        self._end()

    def lose(self, new_error: Callable[[], ConvserveError]) -> None:
        """The worker has gone, and its answer with it."""
        for pending in self.pendings:
            pending.fail(new_error())
        self._end()

    def take_back(self) -> tuple[Pending, ...]:
        """The worker has gone before it began; returns the jobs that somebody still waits for."""
        wanted = tuple(p for p in self.pendings if not p.outcome.cancelled())
        self.pendings = tuple(p for p in self.pendings if p.outcome.cancelled())
        self._end()
        return wanted

    def _end(self) -> None:
        for pending in self.pendings:
            pending.end()
        if self.runaway_timer is not None:
            self.runaway_timer.cancel()
        if self.ended is not None and not self.ended.done():
            self.ended.set_result(None)


def stopping() -> DrainingError:
    """The error of what was not done before the workers were stopped."""
    return DrainingError("the server is stopping; retry on another one")


def died(how: str) -> WorkerDiedError:
    """The error of what ran when the child was lost; `how` is such as `exited with code 1`."""
    return WorkerDiedError(
        f"the worker process {how} while it computed this call; another takes its place: retry "
        "once, and if that fails too make the call smaller",
        metadata={"worker": how},
    )


def unable(why: str, retry_seconds: float) -> WorkerDiedError:
    """The error of whatever comes while no child can be started; `why` says how that failed."""
    return WorkerDiedError(
        f"nothing can be computed now: {why}; it is tried again, so retry after "
        f"{retry_seconds:g} s",
        retry_delay=retry_seconds,
    )


def error_of(failure: Failure, request_id: str) -> ConvserveError:
    """The error that the caller gets. A fault of the engine goes to the log, under the id."""
    if failure.status:
        return from_status(status_pb2.Status.FromString(failure.status))
    _log.error("fault of the engine", extra=fields(request_id=request_id, story=failure.story))
    return InternalError(
        f"a fault of the engine; error id {request_id} finds it in the server's log",
        metadata={"error_id": request_id},
    )
