"""The front's side of one worker process: jobs in, results out, one at a time, in their order."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from attrs import frozen
from convserve.errors import ConvserveError, OverloadedError, UnavailableError, WorkerDiedError
from convserve.plans import StepRecord

from convserve_server.planning.inputs import CHANNELS_FIRST
from convserve_server.workers.arena import Arena, Placement, Region
from convserve_server.workers.messages import (
    Done,
    Failed,
    Forget,
    FrameError,
    Message,
    PlacedTensor,
    Request,
    Run,
    encode_frame,
)
from convserve_server.workers.pending import Pending, died, error_of, stopping, unable
from convserve_server.workers.process import ChildProcess

RETRY_SECONDS = 1.0  # what a caller is told to wait when the queue is full
FIRST_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 10.0

_log = logging.getLogger(__name__)


@frozen
class Job:
    """One piece of work, as `encode_work` made it, on tensors that lie in the arena.

    `tensors` are the inputs and weights, `outputs` the results, with the specs in which their bytes
    lie there: with `layout` "channels_last" the inputs and outputs are so, weights never. `key` is
    not empty for weights that stay in their places until `forget(key)`. `request_id` is what a
    fault of the engine is logged under.
    """

    work: bytes
    tensors: tuple[Placement, ...]
    outputs: tuple[Placement, ...]
    key: str = ""
    layout: str = CHANNELS_FIRST
    request_id: str = ""

    @property
    def regions(self) -> set[Region]:
        """Where its tensors lie."""
        return {placement.region for placement in (*self.tensors, *self.outputs)}


@frozen
class JobResult:
    """What ran, how long it waited for the worker, and how long the engine took, in seconds."""

    steps: tuple[StepRecord, ...]
    queue_seconds: float
    compute_seconds: float


class Worker:
    """One child process that computes, and the queue before it. A child that dies is replaced.

    Jobs wait for the next child, unless it cannot be started: from then on, until one is ready, the
    worker is not able to work, and jobs fail at once.

    Ownership: release a region whenever you are done with it, also while a job runs. A job holds
    every region that its placements lie in, from `run` until its child cannot write them any more;
    only then is the memory free. So `with region:` around `run` is right, cancelled or not.

    Used from one event loop.
    """

    def __init__(
        self,
        arena: Arena,
        engine: str,
        *,
        threads: int | None = None,
        queue_limit: int = 256,
        ready_seconds: float = 60.0,
        abandon_seconds: float = 5.0,
    ) -> None:
        """`engine` is a name or `module:Class`; None leaves the number of threads to it.

        A child that is not ready after `ready_seconds` is killed; so is one that still computes
        `abandon_seconds` after the call that it computes was cancelled or ran out of time.
        """
        self._arena = arena
        self._engine = engine
        self._threads = threads
        self._queue_limit = queue_limit
        self._ready_seconds = ready_seconds
        self._abandon_seconds = abandon_seconds
        self._ids = itertools.count(1)
        self._waiting: deque[Pending] = deque()
        self._running: Pending | None = None
        self._child: ChildProcess | None = None  # ours until it is reaped
        self._is_ready = False  # whether it may be sent something
        self._able, self._unable = asyncio.Event(), asyncio.Event()  # one of them is set
        self._unable.set()
        self._failure = ""  # why the last start failed, if it has
        self._keeper: asyncio.Task[None] | None = None
        self._restarts = 0
        self._is_stopping = False

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is none."""
        return self._child.pid if self._child else None

    @property
    def restarts(self) -> int:
        """How many children have been replaced."""
        return self._restarts

    @property
    def queue_depth(self) -> int:
        """How many jobs wait; the one that runs is not counted."""
        return len(self._waiting)

    async def until_able(self) -> None:
        """Wait until a child has been started."""
        await self._able.wait()

    async def until_unable(self) -> None:
        """Wait until a child could not be started in place of one that was lost."""
        await self._unable.wait()

    async def start(self) -> None:
        """Start the child and wait until it is ready. Raises WorkerDiedError if it cannot start."""
        child = await self._start_child()
        self._keeper = asyncio.create_task(self._keep_alive(child))

    async def stop(self) -> None:
        """Take no more jobs and end the child. What has not ended fails with DrainingError."""
        self._is_stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait((self._keeper,))
        if self._child is not None:
            if self._running is not None:
                self._child.kill()
            await self._bury(self._child)
        self._fail_waiting(stopping)

    async def run(self, job: Job) -> JobResult:
        """Run a job; its outputs are filled when this returns.

        Raises what `check_open` raises, WorkerDiedError, what the engine raises, and InternalError
        for any fault of the engine, whose story goes to the log under the job's `request_id`.
        """
        self.check_open()
        pending = self._accept(_request(next(self._ids), job), job.regions, job.request_id)
        try:
            done = await pending.outcome
        except BaseException:
            self._abandon(pending)
            raise
        return JobResult(done.steps, pending.sent_at - pending.queued_at, done.compute_seconds)

    async def forget(self, key: str) -> None:
        """Have the engine drop what it kept for `key`, after the jobs accepted before.

        Cancelling does not take it back. Does nothing where there is no child to keep anything.
        """
        if not self._is_stopping and not self._unable.is_set():
            pending = self._accept(Forget(next(self._ids), key), set())
            with suppress(UnavailableError):  # what a child kept has gone with it
                await asyncio.shield(pending.outcome)

    def check_open(self) -> None:
        """Raise what would keep a job from waiting for its turn.

        DrainingError, WorkerDiedError if no child can be started, OverloadedError if too many wait.
        """
        if self._is_stopping:
            raise stopping()
        if self._unable.is_set():
            raise self._no_child()
        if len(self._waiting) >= self._queue_limit:
            raise OverloadedError(
                f"{len(self._waiting)} calls wait for the worker, and {self._queue_limit} may; "
                f"retry after {RETRY_SECONDS} s",
                metadata={"queue_length": len(self._waiting), "limit": self._queue_limit},
                retry_delay=RETRY_SECONDS,
            )

    def _accept(self, request: Request, regions: set[Region], request_id: str = "") -> Pending:
        loop = asyncio.get_running_loop()
        frame = encode_frame(request)
        pending = Pending(request, frame, regions, loop.create_future(), loop.time(), request_id)
        self._waiting.append(pending)
        self._send_next()
        return pending

    def _send_next(self) -> None:
        if self._child is None or not self._is_ready or self._running or not self._waiting:
            return
        self._running = self._waiting.popleft()
        self._running.sent_at = asyncio.get_running_loop().time()
        self._child.send(self._running.frame)

    def _abandon(self, pending: Pending) -> None:
        """Nobody waits for it any more: take it out of the queue, or bound how long it may run."""
        if pending in self._waiting:
            self._waiting.remove(pending)
            pending.end()
        elif pending is self._running:
            loop = asyncio.get_running_loop()
            pending.runaway_timer = loop.call_later(self._abandon_seconds, self._kill_runaway)

    def _kill_runaway(self) -> None:
        if self._child is not None:
            _log.warning(
                "worker %d still computes %.1f s after its call was given up: it is killed",
                self._child.pid,
                self._abandon_seconds,
            )
            self._is_ready = False  # its answer may come yet, but nothing more is for it to do
            self._child.kill()

    def _fail_waiting(self, new_error: Callable[[], ConvserveError]) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            waiting.fail(new_error())
            waiting.end()

    def _no_child(self) -> WorkerDiedError:
        return unable(self._failure, MAX_BACKOFF_SECONDS)

    async def _keep_alive(self, child: ChildProcess) -> None:
        """Serve with this child, and with the next when it is lost, until cancelled."""
        while True:
            await self._serve(child)
            child = await self._replace_child()
            self._restarts += 1

    async def _start_child(self) -> ChildProcess:
        self._child = await ChildProcess.start(
            self._arena, self._engine, self._threads, self._ready_seconds
        )
        self._is_ready = True
        self._unable.clear()
        self._able.set()
        self._send_next()
        return self._child

    async def _replace_child(self) -> ChildProcess:
        delay = FIRST_BACKOFF_SECONDS
        while True:
            try:
                return await self._start_child()
            except WorkerDiedError as error:
                _log.error("%s; another start in %.1f s", error, delay)
                self._failure = error.message
                self._able.clear()
                self._unable.set()
                self._fail_waiting(self._no_child)
                await asyncio.sleep(delay)
                delay = min(2 * delay, MAX_BACKOFF_SECONDS)

    async def _serve(self, child: ChildProcess) -> None:
        """Take replies and send what waits until the child is lost."""
        try:
            while True:
                self._settle(await child.receive())
        except (EOFError, OSError):
            pass  # it has exited, or is about to
        except Exception:  # whatever its reply was, only a new child can be trusted
            _log.exception("worker %d is killed: its reply cannot be read", child.pid)
            child.kill()
        await self._bury(child)

    def _settle(self, reply: Message) -> None:
        pending = self._running
        if not isinstance(reply, Done | Failed):
            raise FrameError(f"{type(reply).__name__} is not an answer")
        if pending is None or reply.job_id != pending.request.job_id:
            raise FrameError(f"an answer to {reply.job_id}, which does not run")
        if isinstance(reply, Done):
            pending.succeed(reply)
        else:
            pending.fail(error_of(reply, pending.request_id))
        self._running = None
        self._send_next()
        pending.end()

    async def _bury(self, child: ChildProcess) -> None:
        """End and reap the child. What it ran is lost with it; what waits, waits for the next."""
        self._is_ready = False
        how = await child.end()
        self._child = None
        if not self._is_stopping:
            _log.error("worker %d %s; another is started", child.pid, how)
        if self._running is not None:
            lost, self._running = self._running, None
            lost.fail(stopping() if self._is_stopping else died(how))
            lost.end()


def _request(job_id: int, job: Job) -> Run:
    return Run(
        job_id,
        job.work,
        tuple(PlacedTensor(p.spec, p.address) for p in job.tensors),
        tuple(PlacedTensor(p.spec, p.address) for p in job.outputs),
        job.key,
        job.layout,
    )
