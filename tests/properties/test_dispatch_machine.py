"""Whatever happens, and in whatever order: what the dispatcher promises holds after every event."""

import math

import pytest
from convserve.errors import DeadlineExceededError, OverloadedError, TooLargeError
from convserve_server.scheduling import batching, dispatch
from convserve_server.scheduling.batching import Task
from convserve_server.scheduling.dispatch import JOBS_AHEAD, Dispatcher
from convserve_server.scheduling.events import (
    Cancel,
    Finished,
    Start,
    Submit,
    Tick,
    Wake,
    WorkerDown,
    WorkerUp,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

BUDGET, QUEUE_LIMIT, ROWS, BYTES, WAIT, SUSPECT = 12, 12, 4, 12, 2, 20
WORKERS = (0, 1, 2)
MAX_PASSES = 2  # few, so that it matters often


class Dispatches(RuleBasedStateMachine):
    """Keeps a plain account of tasks, jobs and workers, and holds every command against it."""

    lanes = 1

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(dispatch, "MAX_PASSES", MAX_PASSES)
        self.patch.setattr(batching, "BATCH_SECONDS", math.inf)  # the account knows no paces
        self.dispatcher = Dispatcher(
            lanes=self.lanes,
            queue_limit=QUEUE_LIMIT,
            working_budget_bytes=BUDGET,
            batch_rows=ROWS,
            batch_bytes=BYTES,
            batch_wait_seconds=WAIT,
            suspect_seconds=SUSPECT,
        )
        self.now = 0
        self.count = 0
        self.waiting = {}  # id -> task, as they came
        self.since = {}
        self.passes = {}
        self.jobs = {}  # id -> (worker, tasks)
        self.workers = {}  # number -> ids of its jobs
        self.suspects = {}
        self.timer = None

    # What a driver does

    def tell(self, event):
        for command in self.dispatcher.handle(event):
            if isinstance(command, Start):
                self.start(command)
            elif isinstance(command, Wake):
                assert command.at > self.now, "a Wake for what could be done now"
                self.timer = command.at
            else:
                self.refuse(self.waiting.pop(command.task_id), command.error)

    def start(self, command):
        tasks = [self.waiting[task_id] for task_id in command.task_ids]  # each waits, and once
        self.check_worker(command.worker, tasks)
        self.check_batch(tasks)
        self.check_turn(tasks)
        for task in tasks:
            del self.waiting[task.id]
        assert command.job_id not in self.jobs
        self.jobs[command.job_id] = (command.worker, tasks)
        self.workers[command.worker].append(command.job_id)

    def refuse(self, task, error):
        if isinstance(error, TooLargeError):
            assert task.working_bytes > BUDGET
        elif isinstance(error, DeadlineExceededError):
            assert task.deadline <= self.now
        else:
            assert isinstance(error, OverloadedError)
            assert 0.1 <= error.retry_delay <= 10
            assert len(self.waiting) == QUEUE_LIMIT
            assert place(task) > max(map(place, self.waiting.values())), "not the last"

    def end(self, job_id):
        worker, tasks = self.jobs.pop(job_id)
        self.workers[worker].remove(job_id)
        return tasks

    # What a start must be like

    def check_worker(self, worker, tasks):
        load = {number: len(jobs) for number, jobs in self.workers.items()}
        assert load[worker] == min(load.values()) < self.lanes + JOBS_AHEAD
        if load[worker] >= self.lanes:
            assert not self.can_grow(tasks), "sent ahead, and could still have grown"

    def can_grow(self, tasks):
        if not self.may_share(tasks[0]):
            return False
        line = [task for task in self.waiting.values() if task.key == tasks[0].key]
        return (
            sum(max(task.rows, 1) for task in line) < ROWS
            and sum(task.byte_count for task in line) < BYTES
            and sum(task.working_bytes for task in line) < BUDGET
        )

    def may_share(self, task):
        return task.key is not None and self.suspects.get(task.key, self.now) <= self.now

    def check_batch(self, tasks):
        assert all(task.deadline > self.now for task in tasks)
        assert sorted(tasks, key=place) == tasks
        if len(tasks) > 1:
            assert all(self.may_share(task) for task in tasks)
            assert len({task.key for task in tasks}) == 1
            assert sum(max(task.rows, 1) for task in tasks) <= ROWS
            assert sum(task.byte_count for task in tasks) <= BYTES

    def check_turn(self, tasks):
        """Who waits before its first task lacks memory, or is held for company; or else shares."""
        for other in self.waiting.values():
            if place(other) < place(tasks[0]):
                assert other.key is None or other.key != tasks[0].key
                if self.leads(other) and not self.is_held(other):
                    assert other.working_bytes > self.free_bytes, "somebody overtook"
                    self.passes[other.id] += 1
                    assert self.passes[other.id] <= MAX_PASSES

    def leads(self, task):
        line = [other for other in self.waiting.values() if other.key == task.key]
        return task.key is None or task is min(line, key=place)

    def is_held(self, task):
        """Whether its line may be waiting for more, for all that can be seen."""
        line = [other for other in self.waiting.values() if other.key == task.key]
        oldest = min(self.since[other.id] for other in line)
        return self.can_grow([task]) and self.now < oldest + WAIT and len(line) < ROWS

    @property
    def free_bytes(self):
        return BUDGET - sum(task.working_bytes for _, tasks in self.jobs.values() for task in tasks)

    # What may happen

    @initialize(count=st.integers(0, len(WORKERS)))
    def begin(self, count):
        for worker in WORKERS[:count]:
            self.raise_worker(worker)

    def raise_worker(self, worker):
        self.workers[worker] = []
        self.tell(WorkerUp(worker, self.now))

    @rule(
        key=st.sampled_from([None, "a", "a", "a", "b"]),
        rows=st.sampled_from([0, 1, 1, 1, 2, 5]),
        byte_count=st.sampled_from([0, 1, 1, 5, 13]),
        working_bytes=st.sampled_from([0, 1, 1, 1, 3, 8, 12, 13]),
        priority=st.sampled_from([0, 0, 0, 1, -1]),
        patience=st.sampled_from([float("inf"), float("inf"), 0, 1, 3, 9]),
    )
    def submit(self, key, rows, byte_count, working_bytes, priority, patience):
        self.submit_task(key, rows, byte_count, working_bytes, priority, self.now + patience)

    @rule(count=st.integers(3, 9))
    def submit_crowd(self, count):
        for _ in range(count):
            self.submit_task("a", 1, 1, 1, 0, float("inf"))

    def submit_task(self, *fields):
        self.count += 1
        task = Task(self.count, *fields)
        self.waiting[task.id] = task
        self.since[task.id] = self.now
        self.passes[task.id] = 0
        self.tell(Submit((task,), self.now))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), seconds=st.integers(0, 1))
    def finish(self, data, seconds):
        self.now += seconds
        job_id = data.draw(st.sampled_from([jobs[0] for jobs in self.workers.values() if jobs]))
        self.end(job_id)
        self.tell(Finished(job_id, self.now))

    @precondition(lambda self: self.count)
    @rule(data=st.data())
    def cancel(self, data):
        task_id = data.draw(st.integers(max(1, self.count - 5), self.count))
        self.waiting.pop(task_id, None)
        self.tell(Cancel(task_id))

    @rule(seconds=st.integers(0, 3))
    def look_at_the_clock(self, seconds):
        self.now += seconds
        self.tell_time()

    @precondition(lambda self: self.timer is not None)
    @rule()
    def wake(self):
        self.now = max(self.now, self.timer)
        self.tell_time()

    def tell_time(self):
        self.timer = None
        self.tell(Tick(self.now))

    @precondition(lambda self: len(self.workers) < len(WORKERS))
    @rule()
    def find_worker(self):
        self.raise_worker(next(number for number in WORKERS if number not in self.workers))

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def lose_worker(self, data):
        worker = data.draw(st.sampled_from(sorted(self.workers)))
        for job_id in list(self.workers[worker]):
            tasks = self.end(job_id)
            if len(tasks) > 1:
                self.suspects[tasks[0].key] = self.now + SUSPECT
        del self.workers[worker]
        self.tell(WorkerDown(worker, self.now))

    @rule()
    def drain_if_none_works(self):
        if not self.workers:
            assert list(self.dispatcher.drain()) == sorted(
                self.waiting, key=lambda task_id: place(self.waiting[task_id])
            )
            self.waiting.clear()

    # What holds at any time

    @invariant()
    def nothing_is_lost_and_the_queue_is_bounded(self):
        assert self.dispatcher.queue_length == len(self.waiting) <= QUEUE_LIMIT

    @invariant()
    def the_memory_is_counted_and_within_the_budget(self):
        assert 0 <= self.dispatcher.working_bytes == BUDGET - self.free_bytes <= BUDGET

    @invariant()
    def nobody_waits_without_a_reason(self):
        """Beside a free lane, who leads lacks memory, waits behind such a one, or for a Wake."""
        if all(len(jobs) >= self.lanes for jobs in self.workers.values()):
            return
        for task in sorted(self.waiting.values(), key=place):
            if not self.leads(task):
                continue
            if self.is_held(task):
                line = [other for other in self.waiting.values() if other.key == task.key]
                oldest = min(self.since[other.id] for other in line)
                if self.timer is not None and self.timer <= oldest + WAIT:
                    continue
            assert task.working_bytes > self.free_bytes
            if self.passes[task.id] >= MAX_PASSES:
                return

    def teardown(self):
        try:
            self.finish_everything()
        finally:
            self.patch.undo()

    def finish_everything(self):
        """With a worker, and nothing new, all that waits is started: none starves."""
        if not self.workers:
            self.raise_worker(0)
        while self.jobs or self.waiting:
            assert self.jobs or self.timer is not None, "nothing will ever happen again"
            if self.jobs:
                job_id = min(self.jobs)
                self.end(job_id)
                self.tell(Finished(job_id, self.now))
            else:
                self.wake()
        self.nothing_is_lost_and_the_queue_is_bounded()
        self.the_memory_is_counted_and_within_the_budget()


def place(task):
    """Sorts as the queue does: ids are given out in the order of arrival."""
    return (-task.priority, task.id)


class DispatchesToLanes(Dispatches):
    """Workers with several jobs in progress."""

    lanes = 3


TestDispatches = Dispatches.TestCase
TestDispatches.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestDispatchesToLanes = DispatchesToLanes.TestCase
TestDispatchesToLanes.settings = settings(max_examples=75, stateful_step_count=60, deadline=None)
