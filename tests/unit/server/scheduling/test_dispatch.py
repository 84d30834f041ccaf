import pytest
from convserve.errors import DeadlineExceededError, OverloadedError, TooLargeError
from convserve_server.scheduling import backlog
from convserve_server.scheduling.batching import BATCH_SECONDS, Task
from convserve_server.scheduling.dispatch import MAX_PASSES, Dispatcher
from convserve_server.scheduling.events import (
    Cancel,
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

BEFORE = -100.0  # a time before the test's own
WAIT = 0.5  # seconds that a task waits for company


def new_dispatcher(*workers, **changes):
    """A dispatcher with these workers, which has limits that no test meets by chance."""
    limits = {
        "queue_limit": 1000,
        "working_budget_bytes": 1000,
        "batch_rows": 4,
        "batch_bytes": 1000,
        "batch_wait_seconds": WAIT,
    }
    dispatcher = Dispatcher(**(limits | changes))
    for worker in workers:
        assert dispatcher.handle(WorkerUp(worker, BEFORE)) == []
    return dispatcher


def task(task_id, key="a", *, rows=1, byte_count=1, working_bytes=1, **more):
    return Task(task_id, key, rows, byte_count, working_bytes, **more)


def tell(dispatcher, *events):
    """All commands for the events."""
    return [command for event in events for command in dispatcher.handle(event)]


def submit(dispatcher, *tasks, now=0.0):
    return tell(dispatcher, *(Submit((task,), now) for task in tasks))


def refused(commands, task_id):
    """The one refusal's error."""
    (command,) = commands
    assert isinstance(command, Refuse)
    assert command.task_id == task_id
    return command.error


def expect_company(dispatcher, key="a", callers=20):
    """Have so many tasks of the key come and go, so that others are worth waiting for."""
    commands = submit(
        dispatcher, *(task(-number, key) for number in range(1, callers + 1)), now=BEFORE
    )
    while starts := [command for command in commands if isinstance(command, Start)]:
        commands = tell(dispatcher, *(Finished(start.job_id, BEFORE) for start in starts))
    dispatcher.drain()
    assert dispatcher.handle(Tick(0.0)) == []


def next_job(dispatcher):
    """The number that the next job will have."""
    (command,) = submit(dispatcher, task(99_999, None))
    tell(dispatcher, Finished(command.job_id, 0.0))
    return command.job_id + 1


# Without a wait when idle


@pytest.mark.parametrize("key", [None, "a"])
def test_a_task_starts_at_once_when_a_worker_is_free(key):
    assert submit(new_dispatcher(7), task(1, key)) == [Start(1, 7, (1,))]


def test_one_caller_is_never_held_up_even_after_a_crowd():
    dispatcher = new_dispatcher(0)
    expect_company(dispatcher)
    first = next_job(dispatcher)
    for job in range(first, first + 50):
        assert submit(dispatcher, task(job)) == [Start(job, 0, (job,))]
        assert tell(dispatcher, Finished(job, 0.0)) == []


def test_two_callers_in_turn_are_never_held_up():
    dispatcher = new_dispatcher(0)
    submit(dispatcher, task(1))
    for number in range(2, 50):
        assert submit(dispatcher, task(number)) == []  # the other one's task runs
        assert tell(dispatcher, Finished(number - 1, 0.0)) == [Start(number, 0, (number,))]


def test_three_callers_are_never_held_up_either():
    dispatcher = new_dispatcher(0)
    (start,) = submit(dispatcher, task(1), task(2), task(3))
    for number in range(4, 100, 3):
        (start,) = tell(dispatcher, Finished(start.job_id, 0.0))
        assert start.task_ids == (number - 2, number - 1)
        assert submit(dispatcher, task(number)) == []
        (start,) = tell(dispatcher, Finished(start.job_id, 0.0))
        assert start.task_ids == (number,)
        assert submit(dispatcher, task(number + 1), task(number + 2)) == []


def test_without_a_worker_tasks_wait_until_one_comes():
    dispatcher = new_dispatcher()
    assert submit(dispatcher, task(1), task(2, None), task(3)) == []
    assert dispatcher.queue_length == 3
    assert tell(dispatcher, WorkerUp(3, 1.0)) == [Start(1, 3, (1, 3)), Start(2, 3, (2,))]


def test_draining_empties_the_queue_in_its_order():
    dispatcher = new_dispatcher()
    submit(dispatcher, task(5), task(3, None), task(4, "b", priority=1, deadline=9.0))
    assert dispatcher.drain() == (4, 5, 3)
    assert dispatcher.queue_length == 0
    assert tell(dispatcher, WorkerUp(0, 1.0), Tick(10.0)) == []


# Batches


def test_tasks_of_one_key_go_together_and_others_keep_their_turn():
    dispatcher = new_dispatcher(0, batch_rows=8)
    submit(dispatcher, task(1), task(2, "a"), task(3, "b"), task(4, "a"), task(5, None))
    assert tell(dispatcher, Finished(1, WAIT)) == [Start(2, 0, (2, 4))]
    assert tell(dispatcher, Finished(2, WAIT)) == [Start(3, 0, (3,)), Start(4, 0, (5,))]


@pytest.mark.parametrize(
    ("limits", "size", "batch"),
    [
        ({"batch_rows": 4}, {"rows": 2}, (2, 3)),
        ({"batch_rows": 5}, {"rows": 2}, (2, 3)),
        ({"batch_rows": 2}, {"rows": 0}, (2, 3)),
        ({"batch_rows": 1}, {"rows": 0}, (2,)),
        ({"batch_rows": 1}, {"rows": 1}, (2,)),
        ({"batch_rows": 1}, {"rows": 9}, (2,)),
        ({"batch_bytes": 30}, {"byte_count": 10}, (2, 3, 4)),
        ({"batch_bytes": 30}, {"byte_count": 31}, (2,)),
        ({"batch_bytes": 0}, {"byte_count": 1}, (2,)),
        ({"working_budget_bytes": 35}, {"working_bytes": 10}, (2, 3, 4)),
    ],
)
def test_a_batch_is_bounded_and_its_first_always_goes(limits, size, batch):
    dispatcher = new_dispatcher(**limits)
    submit(dispatcher, *(task(number, **size) for number in (2, 3, 4, 5, 6)))
    assert tell(dispatcher, WorkerUp(0, WAIT))[0] == Start(1, 0, batch)


def test_a_batch_is_led_by_the_highest_priority_and_takes_the_others_along():
    dispatcher = new_dispatcher()
    submit(dispatcher, task(1), task(2, priority=1), task(3, "b", priority=2), task(4, priority=1))
    assert tell(dispatcher, WorkerUp(0, 0.0)) == [Start(1, 0, (3,))]
    assert tell(dispatcher, Finished(1, WAIT)) == [Start(2, 0, (2, 4, 1))]


def test_a_batch_takes_what_the_free_memory_allows():
    dispatcher = new_dispatcher(0, 1, working_budget_bytes=25)
    submit(dispatcher, task(1, None, working_bytes=16))
    assert submit(dispatcher, task(2, working_bytes=9), task(3, working_bytes=9)) == [
        Start(2, 1, (2,))
    ]
    assert dispatcher.working_bytes == 25


# A short wait under load


def test_a_small_batch_waits_for_more_until_it_has_enough():
    dispatcher = new_dispatcher(0, 1, batch_rows=20)
    expect_company(dispatcher)
    job = next_job(dispatcher)
    assert submit(dispatcher, task(1)) == [Start(job, 0, (1,))]
    assert submit(dispatcher, task(2), now=1.0) == [Wake(1.0 + WAIT)]
    commands, sent = [], 2
    while not commands:
        sent += 1
        commands = submit(dispatcher, task(sent), now=1.1)
    assert commands == [Start(job + 1, 1, tuple(range(2, sent + 1)))]
    assert 3 <= sent <= 10  # about half of those who were around


def test_the_wait_ends_in_time_and_is_shorter_after_it_was_in_vain():
    dispatcher = new_dispatcher(0, 1)
    expect_company(dispatcher)
    job = next_job(dispatcher)
    submit(dispatcher, task(1))
    assert submit(dispatcher, task(2), now=1.0) == [Wake(1.0 + WAIT)]
    assert tell(dispatcher, Tick(1.2)) == [Wake(1.0 + WAIT)]  # too early
    assert tell(dispatcher, Tick(1.0 + WAIT)) == [Start(job + 1, 1, (2,))]
    tell(dispatcher, Finished(job + 1, 2.0))
    assert submit(dispatcher, task(3), now=2.0) == [Start(job + 2, 1, (3,))]


def test_a_full_batch_does_not_wait():
    dispatcher = new_dispatcher(0, 1, batch_rows=4)
    expect_company(dispatcher, callers=40)
    job = next_job(dispatcher)
    submit(dispatcher, task(1), task(2))
    assert submit(dispatcher, task(3, rows=3)) == [Start(job + 1, 1, (2, 3))]


@pytest.mark.parametrize("off", [{"batch_wait_seconds": 0.0}, {"batch_rows": 1}])
def test_the_wait_can_be_turned_off(off):
    dispatcher = new_dispatcher(0, 1, **off)
    expect_company(dispatcher)
    job = next_job(dispatcher)
    assert submit(dispatcher, task(1), task(2)) == [Start(job, 0, (1,)), Start(job + 1, 1, (2,))]


def test_who_waits_for_company_does_not_hold_up_another_key():
    dispatcher = new_dispatcher(0, 1)
    expect_company(dispatcher)
    job = next_job(dispatcher)
    submit(dispatcher, task(1), task(2))
    assert submit(dispatcher, task(3, "b")) == [Start(job + 1, 1, (3,))]
    assert tell(dispatcher, Finished(job, WAIT)) == [Start(job + 2, 0, (2,))]


def test_the_time_runs_for_the_oldest_whatever_the_priorities():
    dispatcher = new_dispatcher(0, 1, batch_rows=20)
    expect_company(dispatcher)
    submit(dispatcher, task(1))
    assert submit(dispatcher, task(2), now=1.0) == [Wake(1.0 + WAIT)]
    assert submit(dispatcher, task(3, priority=1), now=1.2) == []
    assert [c.task_ids for c in tell(dispatcher, Tick(1.0 + WAIT))] == [(3, 2)]


def test_the_time_still_runs_for_the_oldest_after_another_gave_up():
    dispatcher = new_dispatcher(0, 1, batch_rows=40)
    expect_company(dispatcher, callers=60)
    submit(dispatcher, task(1))
    assert submit(dispatcher, task(2), now=1.0) == [Wake(1.0 + WAIT)]
    assert submit(dispatcher, task(3, priority=1), task(4, priority=1), now=1.2) == []
    assert [c.task_ids for c in tell(dispatcher, Cancel(4), Tick(1.0 + WAIT))] == [(3, 2)]


def test_when_the_oldest_gives_up_the_time_runs_for_the_next():
    dispatcher = new_dispatcher(0, 1, batch_rows=20)
    expect_company(dispatcher)
    submit(dispatcher, task(1))
    submit(dispatcher, task(2), now=1.0)
    submit(dispatcher, task(3, priority=1), now=1.2)
    assert tell(dispatcher, Cancel(2), Tick(1.0 + WAIT)) == [Wake(1.2 + WAIT)]


def test_what_a_full_batch_leaves_behind_waits_for_company_of_its_own():
    dispatcher = new_dispatcher(0, 1, 2, batch_bytes=10)
    expect_company(dispatcher)
    job = next_job(dispatcher)
    submit(dispatcher, task(1))
    assert submit(dispatcher, task(2, byte_count=6), now=1.0) == [Wake(1.0 + WAIT)]
    assert submit(dispatcher, task(3, byte_count=6), now=1.2) == [Start(job + 1, 1, (2,))]
    assert tell(dispatcher, Tick(1.0 + WAIT)) == [Wake(1.2 + WAIT)]
    assert tell(dispatcher, Tick(1.2 + WAIT)) == [Start(job + 2, 2, (3,))]


def test_what_was_learnt_about_keys_is_forgotten_in_time(monkeypatch):
    monkeypatch.setattr(backlog, "KEYS_REMEMBERED", 2)
    dispatcher = new_dispatcher(0, 1)
    for key in "abc":
        expect_company(dispatcher, key)
    job = next_job(dispatcher)
    assert submit(dispatcher, task(1, "a"), task(2, "a")) == [
        Start(job, 0, (1,)),
        Start(job + 1, 1, (2,)),
    ]
    tell(dispatcher, Finished(job, 0.0), Finished(job + 1, 0.0))
    assert submit(dispatcher, task(3, "c"), task(4, "c"))[1] == Wake(WAIT)


# Workers


def test_work_is_spread_over_free_workers_by_number():
    dispatcher = new_dispatcher(2, 0, 1)
    commands = submit(dispatcher, *(task(number, None) for number in (1, 2, 3)))
    assert [command.worker for command in commands] == [0, 1, 2]


def test_a_second_job_is_sent_ahead_to_who_has_least_to_do():
    dispatcher = new_dispatcher(0, 1, 2)
    sizes = (5, 3, 3, 1, 1, 1, 1)
    commands = submit(
        dispatcher, *(task(number, None, byte_count=n) for number, n in enumerate(sizes))
    )
    assert [command.worker for command in commands] == [0, 1, 2, 1, 2, 0]
    assert dispatcher.queue_length == 1


def test_only_what_cannot_grow_is_sent_ahead():
    dispatcher = new_dispatcher(0, batch_rows=2)
    assert submit(dispatcher, task(1), task(2)) == [Start(1, 0, (1,))]
    assert submit(dispatcher, task(3)) == [Start(2, 0, (2, 3))]


def test_nothing_is_sent_ahead_of_a_batch_that_can_grow():
    dispatcher = new_dispatcher(0)
    submit(dispatcher, task(1, None), task(2), task(3, None))
    assert dispatcher.queue_length == 2
    assert tell(dispatcher, Finished(1, 0.0)) == [Start(2, 0, (2,)), Start(3, 0, (3,))]


# Memory


def test_what_never_fits_is_refused_with_both_numbers():
    error = refused(submit(new_dispatcher(0), task(1, working_bytes=1001)), 1)
    assert isinstance(error, TooLargeError)
    assert "1001 bytes" in error.message
    assert "1000 in all" in error.message
    assert error.metadata == {"planned_bytes": "1001", "budget_bytes": "1000"}


def test_who_lacks_memory_is_passed_a_bounded_number_of_times():
    dispatcher = new_dispatcher(0, 1, 2)
    submit(dispatcher, task(1, None, working_bytes=600), task(2, None, working_bytes=600))
    running, passed = 0, 0
    for number in range(3, 30):
        commands = submit(dispatcher, task(number, None, working_bytes=10))
        for start in commands:
            passed += 1
            running = start.job_id
            tell(dispatcher, Finished(running, 0.0))
    assert passed == MAX_PASSES
    commands = tell(dispatcher, Finished(1, 0.0))
    assert commands[0].task_ids == (2,)
    assert len(commands) == 6  # and those who waited behind it


def test_a_higher_priority_need_not_wait_for_who_lacks_memory():
    dispatcher = new_dispatcher(0, 1)
    submit(dispatcher, task(1, None, working_bytes=600), task(2, None, working_bytes=600))
    for number in range(3, 30):
        (start,) = submit(dispatcher, task(number, None, priority=1))
        assert tell(dispatcher, Finished(start.job_id, 0.0)) == []


def test_who_gives_up_no_longer_holds_up_others():
    dispatcher = new_dispatcher(0, 1)
    submit(dispatcher, task(1, None, working_bytes=600), task(2, "b", working_bytes=600))
    for number in range(3, 3 + MAX_PASSES):
        (start,) = submit(dispatcher, task(number, None))
        tell(dispatcher, Finished(start.job_id, 0.0))
    assert submit(dispatcher, task(50, None)) == []
    assert [c.task_ids for c in tell(dispatcher, Cancel(2))] == [(50,)]


# The queue


def test_a_full_queue_refuses_with_the_numbers_and_a_delay():
    dispatcher = new_dispatcher(0, queue_limit=1)
    submit(dispatcher, task(1), task(2))
    error = refused(submit(dispatcher, task(3)), 3)
    assert isinstance(error, OverloadedError)
    assert error.metadata == {"queue_length": "1", "limit": "1"}
    assert error.message == "1 calls wait for a worker, and 1 may; retry after 1.0 s"
    assert error.retry_delay == 1.0


def test_whether_there_is_room_is_told_before_a_task_comes():
    dispatcher = new_dispatcher(0, queue_limit=1)
    submit(dispatcher, task(1))
    assert dispatcher.refusal() is None
    submit(dispatcher, task(2))
    error = dispatcher.refusal(0)
    assert isinstance(error, OverloadedError)
    assert error.message == "1 calls wait for a worker, and 1 may; retry after 1.0 s"
    assert dispatcher.refusal(10) is None
    refused(submit(dispatcher, task(3, priority=10)), 2)  # as was told
    assert isinstance(dispatcher.refusal(10), OverloadedError)


def test_without_a_queue_what_can_start_is_not_refused():
    dispatcher = new_dispatcher(0, 1, queue_limit=0)
    tasks = [task(number) for number in range(1, 4)]
    assert submit(dispatcher, *tasks[:2]) == [Start(1, 0, (1,)), Start(2, 1, (2,))]
    assert isinstance(refused(submit(dispatcher, tasks[2]), 3), OverloadedError)


@pytest.mark.parametrize(("others", "command"), [(4, Wake), (5, Start)])
def test_in_a_full_queue_nobody_waits_for_company(others, command):
    dispatcher = new_dispatcher(0, 1, 2, queue_limit=5)
    expect_company(dispatcher)
    submit(dispatcher, task(1), task(2, None, working_bytes=900))
    submit(
        dispatcher, *(task(number, None, working_bytes=900) for number in range(10, 10 + others))
    )
    assert [type(command) for command in submit(dispatcher, task(3))] == [command]
    assert dispatcher.queue_length == 5


def test_a_higher_priority_displaces_the_last_of_the_lowest():
    dispatcher = new_dispatcher(queue_limit=3)
    submit(dispatcher, task(1), task(2, priority=1), task(3))
    refused(submit(dispatcher, task(4, priority=1)), 3)
    refused(submit(dispatcher, task(5, priority=2)), 1)
    refused(submit(dispatcher, task(6, priority=1)), 6)
    assert dispatcher.drain() == (5, 2, 4)


@pytest.mark.parametrize(("pace", "delay"), [(0.001, 0.1), (0.5, 2.0), (30.0, 10.0)])
def test_the_delay_is_what_the_queue_takes_at_the_pace_of_late(pace, delay):
    dispatcher = new_dispatcher(0, queue_limit=3, batch_rows=1)
    submit(dispatcher, task(1))
    for number in range(2, 40):
        now = pace * (number - 1)
        submit(dispatcher, task(number), now=now)
        tell(dispatcher, Finished(number - 1, now))
    submit(dispatcher, task(41), task(42), task(43), task(44), now=now)
    error = refused(submit(dispatcher, task(45), now=now), 45)
    assert error.retry_delay == pytest.approx(delay)


def test_idle_time_is_not_taken_for_a_slow_pace():
    dispatcher = new_dispatcher(0, queue_limit=0, batch_rows=1)
    for job in range(1, 30):
        submit(dispatcher, task(job), now=1000.0 * job)
        tell(dispatcher, Finished(job, 1000.0 * job + 0.5))
    submit(dispatcher, task(31), task(32), now=1e5)
    error = refused(submit(dispatcher, task(33), now=1e5), 33)
    assert error.retry_delay == pytest.approx(0.5)


# Deadlines and cancellation


def test_a_task_whose_deadline_passes_is_refused_and_never_started():
    dispatcher = new_dispatcher(0)
    submit(dispatcher, task(1), task(2, deadline=3.0), task(3, deadline=3.5))
    late, start = tell(dispatcher, Finished(1, 3.25))
    assert start == Start(2, 0, (3,))
    error = refused([late], 2)
    assert isinstance(error, DeadlineExceededError)
    assert "waited 3.250 s for a worker, and its deadline passed 0.250 s ago" in error.message
    assert error.metadata == {"waited_seconds": "3.250", "late_seconds": "0.250"}


def test_an_expired_task_does_not_stay_in_the_queue():
    dispatcher = new_dispatcher()
    submit(dispatcher, task(1, deadline=1.0), task(2, None, deadline=2.0), task(3))
    refused(tell(dispatcher, Tick(1.0)), 1)
    refused(submit(dispatcher, task(4), now=2.5), 2)
    assert dispatcher.queue_length == 2


def test_what_comes_too_late_is_refused_even_if_a_worker_is_free():
    commands = submit(new_dispatcher(0), task(1, deadline=1.0), now=1.0)
    assert isinstance(refused(commands, 1), DeadlineExceededError)


def test_a_cancelled_task_is_gone_and_others_are_not_concerned():
    dispatcher = new_dispatcher(0)
    submit(dispatcher, task(1), task(2, deadline=9.0), task(3))
    assert tell(dispatcher, Cancel(2), Cancel(1), Cancel(77)) == []
    assert tell(dispatcher, Finished(1, 1.0)) == [Start(2, 0, (3,))]


# Lost workers


def test_the_memory_and_the_place_of_a_lost_worker_are_free_again():
    dispatcher = new_dispatcher(0)
    submit(dispatcher, task(1, None, working_bytes=900), task(2, None, working_bytes=100))
    submit(dispatcher, task(3, None, working_bytes=1000))
    assert tell(dispatcher, WorkerDown(0, 1.0)) == []
    assert (dispatcher.working_bytes, dispatcher.queue_length) == (0, 1)
    assert tell(dispatcher, WorkerUp(0, 2.0)) == [Start(3, 0, (3,))]
    with pytest.raises(IllegalEventError):
        dispatcher.handle(Finished(1, 3.0))


def lose_a_batch(dispatcher, now=0.0):
    submit(dispatcher, task(1), task(2), task(3, "b"), now=now)
    assert tell(dispatcher, WorkerUp(0, now))[0].task_ids == (1, 2)
    tell(dispatcher, WorkerDown(0, now))
    dispatcher.drain()


def test_after_a_batch_was_lost_tasks_of_its_key_run_one_by_one_for_a_while():
    dispatcher = new_dispatcher(suspect_seconds=10.0)
    lose_a_batch(dispatcher)
    submit(dispatcher, task(4), task(5), task(6, "b"), task(7, "b"), now=1.0)
    tell(dispatcher, WorkerUp(0, 1.0))  # which is sent both
    assert tell(dispatcher, Finished(2, 2.0)) == []
    assert tell(dispatcher, Finished(3, 2.0)) == [Start(4, 0, (6, 7))]
    submit(dispatcher, task(8), task(9), now=11.0)
    assert tell(dispatcher, Finished(4, 11.0)) == [Start(5, 0, (8, 9))]


def test_a_task_that_is_lost_alone_casts_no_suspicion():
    dispatcher = new_dispatcher(0)
    submit(dispatcher, task(1), task(2), task(3))
    assert tell(dispatcher, WorkerDown(0, 0.0), WorkerUp(0, 0.0)) == [Start(2, 0, (2, 3))]


# What cannot happen


@pytest.mark.parametrize(
    "event",
    [Submit((task(2),), 1.0), Finished(9, 1.0), WorkerUp(0, 1.0), WorkerDown(1, 1.0)],
    ids=lambda event: type(event).__name__,
)
def test_an_illegal_event_tells_the_story(event):
    dispatcher = new_dispatcher(0)
    submit(dispatcher, task(1), task(2))
    with pytest.raises(IllegalEventError, match=r"tasks \[2\] wait, jobs \[1\] run, and workers"):
        dispatcher.handle(event)


# Batches that take too long


def run_alone(dispatcher, task_id, seconds, *, now):
    """A task that is there alone and takes so long; returns when it has finished."""
    (start,) = submit(dispatcher, task(task_id), now=now)
    tell(dispatcher, Finished(start.job_id, now + seconds))
    return now + seconds


def ahead_of(dispatcher, count, *, now):
    """The tasks that are sent ahead, as a full batch, behind one that runs; `count` come."""
    submit(dispatcher, task(10), now=now)
    ids = range(11, 11 + count)
    (start,) = submit(dispatcher, *(task(task_id) for task_id in ids), now=now)
    return start.task_ids


def test_a_batch_holds_no_more_rows_than_the_pace_of_late_allows():
    dispatcher = new_dispatcher(0)
    now = 0.0
    for task_id in range(1, 4):
        now = run_alone(dispatcher, task_id, BATCH_SECONDS / 2, now=now)
    assert ahead_of(dispatcher, 4, now=now) == (11, 12)


def test_jobs_that_were_held_up_do_not_make_batches_smaller():
    dispatcher = new_dispatcher(0)
    now = 0.0
    for task_id, seconds in ((1, 100.0), (2, 100.0), (3, 0.0)):
        now = run_alone(dispatcher, task_id, seconds, now=now)
    assert ahead_of(dispatcher, 4, now=now) == (11, 12, 13, 14)


def test_the_first_jobs_tell_nothing_of_the_pace():
    dispatcher = new_dispatcher(0)
    now = run_alone(dispatcher, 1, 100.0, now=0.0)
    assert ahead_of(dispatcher, 4, now=now) == (11, 12, 13, 14)
