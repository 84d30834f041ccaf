"""A request to a worker process, from its acceptance to its end, and the errors it may end with."""

from __future__ import annotations

import asyncio
import logging

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
from convserve_server.workers.arena import Region
from convserve_server.workers.messages import Done, Failed, Request

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Pending:
    """One request, encoded; whoever made it waits for `outcome`. It holds `regions` until `end`.

    `request_id` is the call's, for the log. Times are the event loop's, in seconds; `sent_at` is 0
    while it waits.
    """

    request: Request
    frame: bytes
    regions: set[Region]
    outcome: asyncio.Future[Done]
    queued_at: float
    request_id: str = ""
    sent_at: float = 0.0
    runaway_timer: asyncio.TimerHandle | None = None

    def __attrs_post_init__(self) -> None:
        for region in self.regions:
            region.hold()

    def succeed(self, done: Done) -> None:
        """Give the result to whoever still waits for it."""
        if not self.outcome.done():
            self.outcome.set_result(done)

    def fail(self, error: ConvserveError) -> None:
        """Give the error to whoever still waits."""
        if not self.outcome.done():
            self.outcome.set_exception(error)

    def end(self) -> None:
        """Let go of the memory: no process writes it any more for this request."""
        for region in self.regions:
            region.drop()
        if self.runaway_timer is not None:
            self.runaway_timer.cancel()


def stopping() -> DrainingError:
    """The error of what was not done before the worker was stopped."""
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


def error_of(failed: Failed, request_id: str) -> ConvserveError:
    """The error that the caller gets. A fault of the engine goes to the log, under the id."""
    if failed.status:
        return from_status(status_pb2.Status.FromString(failed.status))
    _log.error("fault of the engine", extra=fields(request_id=request_id, story=failed.story))
    return InternalError(
        f"a fault of the engine; error id {request_id} finds it in the server's log",
        metadata={"error_id": request_id},
    )
