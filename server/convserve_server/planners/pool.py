"""The planner processes: named tasks in, bytes out. A task that goes wrong takes nothing along."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from convserve.errors import (
    DrainingError,
    OverloadedError,
    TooLargeError,
    WorkerDiedError,
    from_status,
)
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from convserve_server.planners.messages import Answer
from convserve_server.planners.process import PlannerLostError, PlannerProcess

QUEUE_LENGTH = 256
# Of address space. One with cuDNN in it maps 1.4 GiB, most of that the library's own file.
MEMORY_BYTES = 4 << 30
RETRY_SECONDS = 1.0

_log = logging.getLogger(__name__)


class TaskError(Exception):
    """A task has a fault. The message is its story, for the log."""


class PlannerPool:
    """Up to `processes` planner processes, each started when it is first needed.

    One whose task takes too long or too much memory, whose caller gives up, which crashes or gives
    an answer that cannot be taken, is killed; the next task starts another. Used from one event
    loop.
    """

    def __init__(
        self,
        processes: int,
        seconds: float,
        *,
        shared: int | None = None,
        queue_length: int = QUEUE_LENGTH,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        """`seconds` is for one task; `queue_length` tasks may wait while all processes are busy.

        `shared` is the descriptor of memory of which tasks may be given regions.
        """
        self._processes = processes
        self._seconds = seconds
        self._shared = shared
        self._queue_length = queue_length
        self._memory_bytes = memory_bytes
        self._turns = asyncio.Semaphore(processes)
        self._waiting = 0
        self._idle: list[PlannerProcess] = []
        self._busy: set[PlannerProcess] = set()
        self._burials: set[asyncio.Task[str]] = set()  # processes that are being ended
        self._is_stopping = False
        self.restarts = 0  # how many processes were ended whose places others take

    @property
    def pids(self) -> tuple[int, ...]:
        """The ids of the processes that stand ready or run a task."""
        return tuple(process.pid for process in (*self._idle, *self._busy))

    async def run(
        self,
        task: str,
        request: bytes,
        *,
        region: tuple[int, int] | None = None,
        seconds: float | None = None,
    ) -> bytes:
        """The response of a task of `tasks.py`, or at `module:function`.

        `request` has 64 MiB at most; what is larger lies in `region`, (offset, bytes) of the shared
        memory, which the caller holds meanwhile. `seconds` may be less than the pool's.

        Raises the ConvserveError that the task raises; TooLargeError where its time or its memory
        runs out; WorkerDiedError where its process is lost; OverloadedError where too many wait;
        DrainingError; and TaskError for any fault of the task.
        """
        limit = min(self._seconds, seconds or self._seconds)
        async with self._turn():
            outcome = await self._ask(task, request, region, limit)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def stop(self) -> None:
        """Take no more tasks, end every process, and wait until all are reaped. Idempotent."""
        self._is_stopping = True
        for process in (*self._idle, *self._busy):
            self._bury(process)
        self._idle.clear()
        for _ in range(self._processes):  # then nobody has a turn, nor can start a process
            await self._turns.acquire()
        for _ in range(self._processes):
            self._turns.release()
        if self._burials:
            await asyncio.wait(self._burials)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One of the places at the processes, after a wait if all are taken."""
        self._check_open()
        if self._turns.locked() and self._waiting >= self._queue_length:
            raise OverloadedError(
                f"{self._waiting} plans and imports wait already, as many as may; retry after "
                f"{RETRY_SECONDS:g} s",
                metadata={"limit": self._queue_length},
                retry_delay=RETRY_SECONDS,
            )
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            self._check_open()
            yield
        finally:
            self._turns.release()

    async def _ask(
        self, task: str, request: bytes, region: tuple[int, int] | None, seconds: float
    ) -> bytes | Exception:
        try:
            async with self._borrowed() as process, asyncio.timeout(seconds):
                return _outcome(await process.ask(task, request, region))
        except TimeoutError:
            raise TooLargeError(
                f"it takes a planner process more than its {seconds:g} s; ask for less at once, or "
                "have the server give it more with --planner-seconds",
                metadata={"limit_seconds": seconds},
            ) from None
        except MemoryError:
            raise TooLargeError(
                f"it takes a planner process more than its {self._memory_bytes} bytes of memory; "
                "ask for less at once",
                metadata={"limit": self._memory_bytes},
            ) from None
        except PlannerLostError as error:
            if self._is_stopping:
                raise _stopping() from None
            _log.error("a planner process %s", error, exc_info=error.__cause__)
            raise WorkerDiedError(
                f"the planner process {error} while it worked on this call; another takes its "
                "place: retry once, and if that fails too ask for less",
                metadata={"worker": str(error)[:200]},
            ) from None

    @asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[PlannerProcess]:
        """A process that stands ready; whatever is raised meanwhile ends it."""
        process = await self._take()
        self._busy.add(process)
        try:
            yield process
        except BaseException:
            self._bury(process)
            raise
        self._busy.discard(process)
        self._idle.append(process)

    async def _take(self) -> PlannerProcess:
        while self._idle:
            process = self._idle.pop()
            if not process.is_lost:
                return process
            self._bury(process)
        process = await PlannerProcess.start(self._shared, self._memory_bytes)
        if self._is_stopping:
            self._bury(process)
            raise _stopping()
        return process

    def _bury(self, process: PlannerProcess) -> None:
        """End a process and reap it, aside."""
        self.restarts += not self._is_stopping
        self._busy.discard(process)
        burial = asyncio.create_task(process.end())
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)

    def _check_open(self) -> None:
        if self._is_stopping:
            raise _stopping()


def _outcome(answer: Answer) -> bytes | Exception:
    """What a task gave. Raises MemoryError, and PlannerLostError for what no task gives."""
    if answer.response is not None:
        return answer.response
    if answer.story:
        return TaskError(answer.story)
    if not answer.status:
        raise MemoryError
    try:
        return from_status(status_pb2.Status.FromString(answer.status))
    except DecodeError as error:
        raise PlannerLostError(f"gave an answer that cannot be taken: {error}") from error


def _stopping() -> DrainingError:
    return DrainingError("the server is stopping; retry on another one")
