"""The workers of one device, and the queue before them: jobs in, results out.

What runs where, and together with what, is decided by `scheduling/dispatch.py`, a pure machine;
here its commands are carried out.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from convserve.errors import ConvserveError, WorkerDiedError

from convserve_server.engines.base import DeviceFacts, EngineSpec
from convserve_server.scheduling.batching import Task
from convserve_server.scheduling.dispatch import Dispatcher
from convserve_server.scheduling.events import (
    Cancel,
    Event,
    Finished,
    Refuse,
    Start,
    Submit,
    Tick,
    Wake,
    WorkerDown,
    WorkerUp,
)
from convserve_server.scheduling.rush import Rush
from convserve_server.workers.arena import Arena
from convserve_server.workers.jobs import Job, JobResult
from convserve_server.workers.messages import Done, Run, decode_steps
from convserve_server.workers.outstanding import Outstanding
from convserve_server.workers.pending import Pending, stopping, unable
from convserve_server.workers.worker import Worker


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
        engine: EngineSpec,
        dispatcher: Dispatcher,
        *,
        workers: int = 1,
        gather_seconds: float = 0.0,
        ready_seconds: float = 60.0,
        abandon_seconds: float = 5.0,
    ) -> None:
        """`workers` children make the engine, with as many lanes as the dispatcher knows of.

        Jobs that come while the event loop is busy are submitted together, after `gather_seconds`
        at the latest. A child that is not ready after `ready_seconds` is killed; so is one that
        still computes `abandon_seconds` after the last call that it computes was cancelled or ran
        out of time.
        """
        self._dispatcher = dispatcher
        self._rush = Rush(self._submit, gather_seconds)
        self._workers = [
            Worker(number, arena, engine, self, ready_seconds=ready_seconds)
            for number in range(workers)
        ]
        self._up: set[int] = set()
        self._ids = itertools.count(1)
        self._waiting: dict[int, Pending] = {}
        self._outstanding = [
            Outstanding(worker, arena, abandon_seconds, engine.lanes) for worker in self._workers
        ]
        self._able, self._unable = asyncio.Event(), asyncio.Event()  # one of them is set
        self._unable.set()
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

    @property
    def load(self) -> int:
        """How many jobs wait, or workers have."""
        return self.queue_depth + sum(map(len, self._outstanding))

    @property
    def is_able(self) -> bool:
        """Whether there is a child, or was one lately."""
        return self._able.is_set()

    @property
    def device(self) -> DeviceFacts | None:
        """What the workers found out about their device, if they have one of their own."""
        return self._workers[0].device

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
            *(
                worker.stop(kill=bool(outstanding))
                for worker, outstanding in zip(self._workers, self._outstanding, strict=True)
            )
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
        pending = self._accept(job)
        try:
            success = await pending.outcome
        except BaseException:
            self._abandon(pending)
            raise
        return JobResult(decode_steps(success.steps), success.seconds, success.rows)

    async def forget(self, key: str) -> None:
        """Have every engine drop what it kept for `key`, after the jobs that it was given before.

        Cancelling does not take it back. What a lost child kept has gone with it.
        """
        forgotten = [self._outstanding[number].forget(next(self._ids), key) for number in self._up]
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
        soonest = min(worker.retry_seconds for worker in self._workers)
        return unable(failures[0] if failures else "no worker is ready", soonest)

    def _accept(self, job: Job) -> Pending:
        pending = Pending(next(self._ids), job, asyncio.get_running_loop().create_future())
        self._waiting[pending.id] = pending
        self._rush.add(_task(pending))
        return pending

    def _submit(self, tasks: tuple[Task, ...]) -> None:
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
        self._outstanding[command.worker].start(command.job_id, pendings)

    def worker_up(self, worker: Worker) -> None:
        """See `Listener`."""
        self._up.add(worker.number)
        self._unable.clear()
        self._able.set()
        self._tell(WorkerUp(worker.number, _now()))

    def worker_answered(self, worker: Worker, done: Done) -> None:
        """See `Listener`."""
        request = self._outstanding[worker.number].answer(done)
        if isinstance(request, Run) and worker.number in self._up:
            self._tell(Finished(done.job_id, _now()))

    def worker_down(self, worker: Worker) -> None:
        """See `Listener`."""
        if worker.number in self._up:
            self._up.discard(worker.number)
            self._tell(WorkerDown(worker.number, _now()))

    def worker_buried(self, worker: Worker, how: str) -> None:
        """See `Listener`."""
        outstanding = self._outstanding[worker.number]
        if self._is_stopping:
            outstanding.fail(stopping)
        else:
            self._wait_again(outstanding.lose(how))

    def _wait_again(self, pendings: list[Pending]) -> None:
        self._rush.end()
        if pendings:
            self._waiting.update((pending.id, pending) for pending in pendings)
            self._submit(tuple(map(_task, pendings)))

    def worker_unable(self, worker: Worker) -> None:
        """See `Listener`."""
        if not self._up:
            self._able.clear()
            self._unable.set()
            self._fail_waiting(self._no_child)

    def _abandon(self, pending: Pending) -> None:
        """Nobody waits for it any more: take it out of the queue, or bound how long it may run."""
        if pending.id in self._waiting:
            self._rush.end()  # it may be among them
        if self._waiting.pop(pending.id, None) is not None:
            self._tell(Cancel(pending.id))
            pending.end()
            return
        for outstanding in self._outstanding:
            outstanding.abandon(pending)

    def _fail_waiting(self, new_error: Callable[[], ConvserveError]) -> None:
        self._rush.end()
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
