"""What runs where, together with what, and when: a pure machine. Events go in, commands come out.

```
Submit ──> queue ── first, a worker and memory are free ──> Start ──> Finished
  │         │ ├── Cancel, drain                               └─────> WorkerDown
  │         │ ├── deadline passes ──> Refuse(DeadlineExceededError)
  │         │ └── displaced by a higher priority ┐
  ├──> queue full ─────────────────────────────> Refuse(OverloadedError)
  └──> never fits ─────> Refuse(TooLargeError)
```

It has no clock: `now`, in seconds that never go back, comes with the events.

Order: higher priority first, then first come first served, with three exceptions. A line that waits
for company lets others go, for a bounded time. A task that lacks memory is passed `MAX_PASSES`
times at most; then nobody behind it starts, so that memory comes free for it. And a task goes along
with an earlier one of its key.

A worker has as many jobs in progress as it has lanes. One more is sent ahead to a worker that is
busy on all of them, if it is the first in order and cannot grow: then the worker need not wait for
a message between two jobs.
"""

from __future__ import annotations

import itertools
import math

import attrs
from convserve.errors import ConvserveError, OverloadedError

from convserve_server.scheduling.backlog import Queue, Waiting
from convserve_server.scheduling.batching import NEWEST_SHARE, BatchLimits, Line, Task
from convserve_server.scheduling.events import (
    Cancel,
    Command,
    Event,
    Finished,
    IllegalEventError,
    Refuse,
    Start,
    Submit,
    Tick,
    Wake,
    WorkerDown,
    WorkerUp,
)
from convserve_server.scheduling.refusals import overloaded, too_large, too_late

MAX_PASSES = 8  # how many starts may pass a task that lacks memory
JOBS_AHEAD = 1  # that are sent to a worker beside those that it has lanes for
FIRST_RETRY_SECONDS = 1.0  # what a caller is told to wait while nothing has finished
MIN_RETRY_SECONDS = 0.1
MAX_RETRY_SECONDS = 10.0


@attrs.define(eq=False)
class _Job:
    """Tasks that run together. `line` is of their key, if they have one."""

    worker: _Worker
    line: Line | None
    task_count: int
    row_count: int
    byte_count: int
    working_bytes: int
    started_at: float


@attrs.define(eq=False)
class _Worker:
    number: int
    jobs: dict[int, _Job] = attrs.field(factory=dict)
    byte_count: int = 0
    finished_at: float = -math.inf

    def load(self) -> tuple[int, int, int]:
        """Sorts workers by their work, and else by number."""
        return len(self.jobs), self.byte_count, self.number


class Dispatcher:
    """Hands tasks to workers, in batches where it helps. See the module for the rules.

    At most `queue_limit` tasks wait. What has been started and not finished never needs more than
    `working_budget_bytes`. Each worker has `lanes` jobs in progress. A batch has at most
    `batch_rows` rows and `batch_bytes` bytes, unless a single task has more; one row turns batching
    off. A task waits for company at most `batch_wait_seconds`. After a batch was lost with its
    worker, tasks of its key run one by one for `suspect_seconds`.
    """

    def __init__(
        self,
        *,
        queue_limit: int,
        working_budget_bytes: int,
        batch_rows: int,
        batch_bytes: int,
        batch_wait_seconds: float,
        lanes: int = 1,
        suspect_seconds: float = 60.0,
    ) -> None:
        self.queue_limit = queue_limit
        self.lanes = lanes
        self.working_budget_bytes = working_budget_bytes
        self.suspect_seconds = suspect_seconds
        limits = BatchLimits(batch_rows, batch_bytes, working_budget_bytes, batch_wait_seconds)
        self._queue = Queue(limits, queue_limit)
        self._workers: dict[int, _Worker] = {}
        self._jobs: dict[int, _Job] = {}
        self._job_ids = itertools.count(1)
        self._free_bytes = working_budget_bytes
        self._now = 0.0
        self._wake_at = math.inf  # what the driver's timer is set to
        self._seconds_per_task: float | None = None

    @property
    def queue_length(self) -> int:
        """How many tasks wait."""
        return len(self._queue)

    @property
    def working_bytes(self) -> int:
        """What the jobs that have been started and not finished take in the workers."""
        return self.working_budget_bytes - self._free_bytes

    def handle(self, event: Event) -> list[Command]:
        """What to do after an event, in this order. Raises IllegalEventError."""
        commands: list[Command] = []
        if not isinstance(event, Cancel):
            self._advance(event.now, commands)
        match event:
            case Submit(tasks):
                for task in tasks:
                    self._check(event, task.id not in self._queue)
                    self._submit(task, commands)
            case Finished(job_id):
                self._check(event, job_id in self._jobs)
                self._finish(job_id)
            case Cancel(id):
                if id in self._queue:
                    self._queue.remove(self._queue[id], self._now)
            case WorkerUp(worker):
                self._check(event, worker not in self._workers)
                self._workers[worker] = _Worker(worker)
            case WorkerDown(worker):
                self._check(event, worker in self._workers)
                self._lose(worker)
            case Tick():
                self._wake_at = math.inf
        self._start_jobs(commands)
        self._shorten_queue(commands)
        self._set_timer(commands)
        return commands

    def refusal(self, priority: int = 0) -> ConvserveError | None:
        """Why a task that came now would not be taken: nobody of less priority would make room.

        For whoever would spend something on a task before it comes.
        """
        waiting = len(self._queue)
        if waiting < max(self.queue_limit, 1) or self._has_free_worker():
            return None
        return None if priority > self._queue.last.task.priority else self._overloaded(waiting)

    def drain(self) -> tuple[int, ...]:
        """Empty the queue; returns the ids of the tasks that waited, in their order."""
        ids = tuple(self._queue)
        for task_id in ids:
            self._queue.remove(self._queue[task_id], self._now)
        return ids

    def _advance(self, now: float, commands: list[Command]) -> None:
        self._now = now
        while self._queue.next_deadline <= now:
            late = self._queue.pop_expired(now)
            commands.append(Refuse(late.task.id, too_late(late.task, now - late.since, now)))
        if self._queue.next_due <= now:
            self._queue.end_waits(now, in_vain=self._has_free_worker())

    def _submit(self, task: Task, commands: list[Command]) -> None:
        if task.working_bytes > self.working_budget_bytes:
            commands.append(Refuse(task.id, too_large(task, self.working_budget_bytes)))
        elif task.deadline <= self._now:
            commands.append(Refuse(task.id, too_late(task, 0.0, self._now)))
        else:
            self._queue.add(task, self._now)

    def _finish(self, job_id: int) -> None:
        job = self._jobs[job_id]
        # A job sent ahead has run since the one before it.
        seconds = self._now - max(job.started_at, job.worker.finished_at)
        job.worker.finished_at = self._now
        if job.line is not None:
            job.line.learn_pace(seconds, job.row_count)
        self._learn_pace(seconds / job.task_count / len(self._workers))
        self._end(job_id)

    def _learn_pace(self, seconds: float) -> None:
        """The seconds per task of late; workers finish side by side."""
        mean = self._seconds_per_task
        self._seconds_per_task = seconds if mean is None else mean + (seconds - mean) * NEWEST_SHARE

    def _lose(self, number: int) -> None:
        for job_id, job in list(self._workers[number].jobs.items()):
            if job.task_count > 1 and job.line is not None:
                self._queue.suspect(job.line, self._now + self.suspect_seconds, self._now)
            self._end(job_id)
        del self._workers[number]

    def _end(self, job_id: int) -> None:
        job = self._jobs.pop(job_id)
        del job.worker.jobs[job_id]
        job.worker.byte_count -= job.byte_count
        self._free_bytes += job.working_bytes
        if job.line is not None:
            self._queue.leave(job.line, job.task_count)

    def _start_jobs(self, commands: list[Command]) -> None:
        while self._workers and (leader := self._next_leader()):
            worker = min(self._workers.values(), key=_Worker.load)
            if len(worker.jobs) == self.lanes + JOBS_AHEAD:
                return
            if len(worker.jobs) >= self.lanes and self._queue.can_grow(leader, self._now):
                return
            commands.append(self._start(leader, worker))

    def _next_leader(self) -> Waiting | None:
        """The first that fits the free memory, if it may pass those before it that do not."""
        for leader in self._queue.leaders(MAX_PASSES + 1):
            if leader.task.working_bytes <= self._free_bytes:
                return leader
            if leader.passes >= MAX_PASSES:
                return None
        return None

    def _start(self, leader: Waiting, worker: _Worker) -> Start:
        self._count_passes(leader)
        batch = self._queue.take_batch(leader, self._free_bytes, self._now)
        tasks = [waiting.task for waiting in batch]
        row_count = sum(task.batch_rows for task in tasks)
        byte_count = sum(task.byte_count for task in tasks)
        working_bytes = sum(task.working_bytes for task in tasks)
        job_id = next(self._job_ids)
        job = _Job(worker, leader.line, len(tasks), row_count, byte_count, working_bytes, self._now)
        self._jobs[job_id] = worker.jobs[job_id] = job
        worker.byte_count += byte_count
        self._free_bytes -= working_bytes
        return Start(job_id, worker.number, tuple(task.id for task in tasks))

    def _count_passes(self, leader: Waiting) -> None:
        for other in self._queue.leaders(MAX_PASSES):
            if other is leader:
                return
            other.passes += 1

    def _shorten_queue(self, commands: list[Command]) -> None:
        """Refuse the last ones, if tasks that came could not be started and there is no room."""
        while len(self._queue) > self.queue_limit:
            last = self._queue.last
            commands.append(Refuse(last.task.id, self._overloaded(len(self._queue) - 1)))
            self._queue.remove(last, self._now)

    def _set_timer(self, commands: list[Command]) -> None:
        due = self._queue.next_due
        if due < self._wake_at and self._has_free_worker():
            self._wake_at = due
            commands.append(Wake(due))

    def _has_free_worker(self) -> bool:
        return any(len(worker.jobs) < self.lanes for worker in self._workers.values())

    def _check(self, event: Event, legal: bool) -> None:
        if not legal:
            raise IllegalEventError(
                f"{event} cannot happen now: tasks {list(self._queue)} wait, jobs "
                f"{list(self._jobs)} run, and workers {list(self._workers)} are up"
            )

    def _overloaded(self, waiting: int) -> OverloadedError:
        """The error of who has no place in the queue: it tells how long the queue takes."""
        seconds = FIRST_RETRY_SECONDS
        if self._seconds_per_task is not None:
            seconds = (waiting + 1) * self._seconds_per_task
        seconds = min(max(seconds, MIN_RETRY_SECONDS), MAX_RETRY_SECONDS)
        return overloaded(waiting, self.queue_limit, seconds)
