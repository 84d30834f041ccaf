"""One worker process as the pool sees it: kept alive, given frames, listened to."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from convserve.errors import WorkerDiedError

from convserve_server.engines.base import DeviceFacts, EngineSpec
from convserve_server.workers.arena import Arena
from convserve_server.workers.messages import Done
from convserve_server.workers.process import ChildProcess
from convserve_server.workers.segments import Segment

FIRST_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 10.0

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who is told what becomes of a worker, in the event loop."""

    def worker_up(self, worker: Worker) -> None:
        """A child stands ready."""
        ...

    def worker_answered(self, worker: Worker, done: Done) -> None:
        """The child has carried out a request. Raises FrameError if there was none."""
        ...

    def worker_down(self, worker: Worker) -> None:
        """The child is about to go: nothing more is for it to do. May be told twice."""
        ...

    def worker_buried(self, worker: Worker, how: str) -> None:
        """The child has gone, and writes no memory any more; another is started."""
        ...

    def worker_unable(self, worker: Worker) -> None:
        """No child could be started, for `worker.failure`; it is tried again."""
        ...


class Worker:
    """A child process that computes. One that dies is replaced. Used from one event loop."""

    def __init__(
        self,
        number: int,
        arena: Arena,
        engine: EngineSpec,
        listener: Listener,
        *,
        ready_seconds: float = 60.0,
    ) -> None:
        """A child that is not ready after `ready_seconds` is killed."""
        self.number = number
        self.failure = ""  # why no child can be started, while none can
        self.retry_seconds = FIRST_BACKOFF_SECONDS  # until the next is tried, while none can
        self.restarts = 0  # how many children have been replaced
        self.device: DeviceFacts | None = None  # what the last child found out about its own
        self._arena = arena
        self._engine = engine
        self._listener = listener
        self._ready_seconds = ready_seconds
        self._child: ChildProcess | None = None  # ours until it is reaped
        self._keeper: asyncio.Task[None] | None = None
        self._is_stopping = False

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is none."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Start the child and wait until it is ready. Raises WorkerDiedError if it cannot start."""
        child = await self._start_child()
        self._keeper = asyncio.create_task(self._keep_alive(child))

    async def stop(self, *, kill: bool) -> None:
        """End the child, at once if it must not be waited for."""
        self._is_stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait((self._keeper,))
        if self._child is not None:
            if kill:
                self._child.kill()
            await self._bury(self._child)

    def send(self, frame: bytes) -> None:
        """Send a frame to the child. To be called only while there is one that stands ready."""
        assert self._child is not None  # else nobody would answer
        self._child.send(frame)

    def hand(self, segment: Segment) -> None:
        """Have the child know a segment of shared memory, before a frame names it."""
        assert self._child is not None
        self._child.hand(segment)

    def detach(self, number: int) -> None:
        """Have the child forget a segment."""
        if self._child is not None:
            self._child.detach(number)

    def kill(self) -> None:
        """End the child, if there is one; the next takes its place. The listener is told first."""
        self._listener.worker_down(self)  # an answer may come yet, but nothing more is for it to do
        if self._child is not None:
            self._child.kill()

    async def _keep_alive(self, child: ChildProcess) -> None:
        """Serve with this child, and with the next when it is lost, until cancelled."""
        while True:
            error = await child.until_lost()
            if error is not None:
                _log.error(
                    "worker %d gave an answer that cannot be taken", child.pid, exc_info=error
                )
            await self._bury(child)
            child = await self._replace_child()
            self.restarts += 1

    async def _start_child(self) -> ChildProcess:
        self._child = await ChildProcess.start(
            self._arena, self._engine, self._ready_seconds, self._answered
        )
        self.device = self._child.device
        self.failure = ""
        self._listener.worker_up(self)
        return self._child

    def _answered(self, done: Done) -> None:
        self._listener.worker_answered(self, done)

    async def _replace_child(self) -> ChildProcess:
        self.retry_seconds = FIRST_BACKOFF_SECONDS
        while True:
            try:
                return await self._start_child()
            except WorkerDiedError as error:
                _log.error("%s; another start in %.1f s", error, self.retry_seconds)
                self.failure = error.message
                self._listener.worker_unable(self)
                await asyncio.sleep(self.retry_seconds)
                self.retry_seconds = min(2 * self.retry_seconds, MAX_BACKOFF_SECONDS)

    async def _bury(self, child: ChildProcess) -> None:
        """End and reap the child, and tell that it has gone."""
        self._listener.worker_down(self)
        how = await child.end()
        self._child = None
        if not self._is_stopping:
            _log.error("worker %d %s; another is started", child.pid, how)
        self._listener.worker_buried(self, how)
