"""The workers of one device, and the queue before them: jobs in, results out.

What runs where, and together with what, is decided by `scheduling/dispatch.py`, a pure machine;
here its commands are carried out.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections import deque
from collections.abc import Callable
from functools import partial

from convserve.errors import ConvserveError, WorkerDiedError

from convserve_server.scheduling.dispatch import (
    Cancel,
    Dispatcher,
    Event,
    Finished,
    Refuse,
    Start,
    Submit,
    Task,
    Tick,
    Wake,
    WorkerDown,
    WorkerUp,
)
from convserve_server.workers.arena import Arena
from convserve_server.workers.jobs import Job, JobResult
from convserve_server.workers.messages import (
    Done,
    Forget,
    FrameError,
    Run,
    decode_steps,
    encode_frame,
)
from convserve_server.workers.pending import Pending, Sent, died, stopping, unable
from convserve_server.workers.segments import Segment
from convserve_server.workers.worker import MAX_BACKOFF_SECONDS, Worker

# Two calls within this time are of two callers: one that calls again and again needs longer.
RUSH_SECONDS = 3e-4
QUIET_TURNS = 6  # of the event loop, in which a call that has come reaches its handler

_log = logging.getLogger(__name__)


class WorkerPool:
    """Workers that compute jobs, alone or in batches.

    Jobs wait while children are replaced, unless none can be started: from then on, until one is
    ready, the pool is not able to work, and jobs fail at once.

    Ownership: release a region whenever you are done with it, also while a job runs. A job holds
    every region that its placements lie in, from `run` until its child cannot write them any more;
    only then is the memory free. So `with region:` around `run` is right, cancelled or not.

    Used from one event loop.
    """

    def __init__(
        self,
        arena: Arena,
        engine: str,
        dispatcher: Dispatcher,
        *,
        workers: int = 1,
        threads: int | None = None,
        gather_seconds: float = 0.0,
        ready_seconds: float = 60.0,
        abandon_seconds: float = 5.0,
    ) -> None:
        """`engine` is a name or `module:Class`, with `threads` for each of the `workers`.

        Jobs that come while the event loop is busy are submitted together, after `gather_seconds`
        at the latest. A child that is not ready after `ready_seconds` is killed; so is one that
        still computes `abandon_seconds` after the last call that it computes was cancelled or ran
        out of time.
        """
        self._arena = arena
        self._dispatcher = dispatcher
        self._gather_seconds = gather_seconds
        self._abandon_seconds = abandon_seconds
        self._workers = [
            Worker(number, arena, engine, self, threads=threads, ready_seconds=ready_seconds)
            for number in range(workers)
        ]
        self._up: set[int] = set()
        self._ids = itertools.count(1)
        self._waiting: dict[int, Pending] = {}
        self._sent: dict[int, deque[Sent]] = {worker.number: deque() for worker in self._workers}
        self._able, self._unable = asyncio.Event(), asyncio.Event()  # one of them is set
        self._unable.set()
        self._arrived: list[Task] = []  # what is about to be submitted
        self._last_arrival = -math.inf
        self._wake: asyncio.TimerHandle | None = None
        self._is_stopping = False

    @property
    def pids(self) -> tuple[int, ...]:
        """The children's process ids."""
        return tuple(worker.pid for worker in self._workers if worker.pid is not None)

    @property
    def restarts(self) -> int:
        """How many children have been replaced."""
        return sum(worker.restarts for worker in self._workers)

    @property
    def queue_depth(self) -> int:
        """How many jobs wait; those that workers have are not counted."""
        return self._dispatcher.queue_length

    async def until_able(self) -> None:
        """Wait until a child has been started."""
        await self._able.wait()

    async def until_unable(self) -> None:
        """Wait until there is no child, and none could be started."""
        await self._unable.wait()

    async def start(self) -> None:
        """Start every child. Raises WorkerDiedError if one cannot start."""
        try:
            async with asyncio.TaskGroup() as group:
                for worker in self._workers:
                    group.create_task(worker.start())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def stop(self) -> None:
        """Take no more jobs and end the children. What has not ended fails with DrainingError."""
        self._is_stopping = True
        self._fail_waiting(stopping)  # before a worker ends, and makes room for what waits
        await asyncio.gather(
            *(worker.stop(kill=bool(self._sent[worker.number])) for worker in self._workers)
        )
        if self._wake is not None:
            self._wake.cancel()

    async def run(self, job: Job) -> JobResult:
        """Run a job; its outputs are filled when this returns.

        Raises what `check_open` raises, WorkerDiedError, DeadlineExceededError, what the engine
        raises, and InternalError for any fault of the engine, whose story goes to the log under the
        job's `request_id`.
        """
        self._check_able()
        pending = self._submit(job)
        try:
            done = await pending.outcome
        except BaseException:
            self._abandon(pending)
            raise
        waited = pending.sent_at - pending.queued_at
        steps = decode_steps(done.steps)
        return JobResult(steps, waited, done.compute_seconds, done.rows or job.rows)

    async def forget(self, key: str) -> None:
        """Have every engine drop what it kept for `key`, after the jobs that it was given before.

        Cancelling does not take it back. What a lost child kept has gone with it.
        """
        forgotten = [self._send_forget(worker, key) for worker in self._workers]
        if forgotten:
            await asyncio.wait(forgotten)

    def detach(self, segment: int) -> None:
        """Have every worker unmap a segment that nobody uses any more."""
        for worker in self._workers:
            worker.detach(segment)

    def check_open(self, priority: int = 0) -> None:
        """Raise what would keep a job of this priority from waiting for its turn.

        DrainingError, WorkerDiedError if no child can be started, OverloadedError if too many wait.
        """
        self._check_able()
        error = self._dispatcher.refusal(priority)
        if error is not None:
            raise error

    def _check_able(self) -> None:
        if self._is_stopping:
            raise stopping()
        if self._unable.is_set():
            raise self._no_child()

    def _no_child(self) -> WorkerDiedError:
        failures = [worker.failure for worker in self._workers if worker.failure]
        return unable(failures[0] if failures else "no worker is ready", MAX_BACKOFF_SECONDS)

    def _submit(self, job: Job) -> Pending:
        loop = asyncio.get_running_loop()
        pending = Pending(next(self._ids), job, loop.create_future(), loop.time())
        self._waiting[pending.id] = pending
        self._gather(_task(pending), pending.queued_at)
        return pending

    def _gather(self, task: Task, now: float) -> None:
        """Submit the task; in a rush, with all that come in the next turns of the event loop."""
        in_rush = now - self._last_arrival < RUSH_SECONDS
        self._last_arrival = now
        self._arrived.append(task)
        if not in_rush:
            self._submit_arrived()
        elif len(self._arrived) == 1:
            self._turn(1, QUIET_TURNS, now + self._gather_seconds)

    def _turn(self, seen: int, left: int, until: float) -> None:
        """Gather on, for so many turns without another task, but not for longer than `until`."""
        arrived = len(self._arrived)
        left = left - 1 if arrived == seen else QUIET_TURNS
        if left < 0 or _now() >= until:
            self._submit_arrived()
        elif arrived:
            asyncio.get_running_loop().call_soon(self._turn, arrived, left, until)

    def _submit_arrived(self) -> None:
        if self._arrived:
            tasks, self._arrived = tuple(self._arrived), []
            self._tell(Submit(tasks, _now()))

    def _tell(self, event: Event) -> None:
        """Tell the machine what happened, and do what it says."""
        for command in self._dispatcher.handle(event):
            match command:
                case Start():
                    self._start(command)
                case Refuse(task_id, error):
                    self._refuse(self._waiting.pop(task_id), error)
                case Wake(at):
                    self._set_wake(at)

    def _refuse(self, pending: Pending, error: ConvserveError) -> None:
        pending.fail(error)
        pending.end()

    def _set_wake(self, at: float) -> None:
        if self._wake is not None:
            self._wake.cancel()
        loop = asyncio.get_running_loop()
        self._wake = loop.call_at(at, lambda: self._tell(Tick(loop.time())))

    def _start(self, command: Start) -> None:
        pendings = tuple(self._waiting.pop(task_id) for task_id in command.task_ids)
        job = pendings[0].job
        slot = command.job_id % len(self._arena.flags)
        self._arena.flags[slot] = 0
        request = Run(
            command.job_id,
            job.work,
            tuple(pending.job.part for pending in pendings),
            job.key,
            job.layout,
            self._arena.capacity_bytes + slot,
            dict(job.taken),
            dict(job.kept),
        )
        now = asyncio.get_running_loop().time()
        worker = self._workers[command.worker]
        for pending in pendings:
            pending.sent_at = now
            for memory in pending.regions:
                if isinstance(memory, Segment):
                    worker.hand(memory)
        self._send(worker, Sent(request, pendings))

    def _send(self, worker: Worker, sent: Sent) -> None:
        queue = self._sent[worker.number]
        queue.append(sent)
        worker.send(encode_frame(sent.request))

    def _send_forget(self, worker: Worker, key: str) -> asyncio.Future[None]:
        ended = asyncio.get_running_loop().create_future()
        if worker.number not in self._up:
            ended.set_result(None)
        else:
            self._send(worker, Sent(Forget(next(self._ids), key), ended=ended))
        return ended

    def worker_up(self, worker: Worker) -> None:
        """See `Listener`."""
        self._up.add(worker.number)
        self._unable.clear()
        self._able.set()
        self._tell(WorkerUp(worker.number, _now()))

    def worker_answered(self, worker: Worker, done: Done) -> None:
        """See `Listener`."""
        queue = self._sent[worker.number]
        if not queue or queue[0].request.job_id != done.job_id:
            raise FrameError(f"an answer to {done.job_id}, which does not run")
        sent = queue.popleft()
        sent.settle(done)
        if queue:
            self._watch(worker, queue[0])
        if isinstance(sent.request, Run) and worker.number in self._up:
            self._tell(Finished(done.job_id, _now()))

    def worker_down(self, worker: Worker) -> None:
        """See `Listener`."""
        if worker.number in self._up:
            self._up.discard(worker.number)
            self._tell(WorkerDown(worker.number, _now()))

    def worker_buried(self, worker: Worker, how: str) -> None:
        """See `Listener`."""
        queue = self._sent[worker.number]
        if queue and not self._is_stopping:
            queue.popleft().lose(partial(died, how))
        while queue:
            self._take_back(queue.popleft())

    def _take_back(self, sent: Sent) -> None:
        """What was sent ahead has not begun: it waits again, unless nobody can take it."""
        if self._is_stopping or not sent.pendings:
            sent.lose(stopping)
            return
        for pending in sent.pendings:
            if pending.outcome.cancelled():
                pending.end()
            else:
                self._waiting[pending.id] = pending
                self._arrived.append(_task(pending))
        self._submit_arrived()

    def worker_unable(self, worker: Worker) -> None:
        """See `Listener`."""
        if not self._up:
            self._able.clear()
            self._unable.set()
            self._fail_waiting(self._no_child)

    def _abandon(self, pending: Pending) -> None:
        """Nobody waits for it any more: take it out of the queue, or bound how long it may run."""
        if pending.id in self._waiting:
            self._submit_arrived()  # it may be among them
        if self._waiting.pop(pending.id, None) is not None:
            self._tell(Cancel(pending.id))
            pending.end()
            return
        for worker in self._workers:
            for sent in self._sent[worker.number]:
                if pending in sent.pendings and sent.is_abandoned:
                    self._give_up(sent.request)
                    self._watch(worker, self._sent[worker.number][0])

    def _give_up(self, request: Run | Forget) -> None:
        """Tell the worker not to begin."""
        if isinstance(request, Run):
            self._arena.flags[request.flag - self._arena.capacity_bytes] = 1

    def _watch(self, worker: Worker, sent: Sent) -> None:
        """Bound how long what the worker computes now may go on, if nobody waits for it."""
        if sent.is_abandoned and sent.runaway_timer is None:
            loop = asyncio.get_running_loop()
            sent.runaway_timer = loop.call_later(self._abandon_seconds, self._kill_runaway, worker)

    def _kill_runaway(self, worker: Worker) -> None:
        _log.warning(
            "worker %s still computes %.1f s after its call was given up: it is killed",
            worker.pid,
            self._abandon_seconds,
        )
        self.worker_down(worker)  # its answer may come yet, but nothing more is for it to do
        worker.kill()

    def _fail_waiting(self, new_error: Callable[[], ConvserveError]) -> None:
        self._submit_arrived()
        for task_id in self._dispatcher.drain():
            self._refuse(self._waiting.pop(task_id), new_error())


def _now() -> float:
    return asyncio.get_running_loop().time()


def _task(pending: Pending) -> Task:
    """What the dispatcher is told of a job."""
    job = pending.job
    return Task(
        id=pending.id,
        key=job.batch_key,
        rows=job.rows,
        byte_count=job.byte_count,
        working_bytes=job.working_bytes,
        priority=job.priority,
        deadline=job.deadline,
    )
