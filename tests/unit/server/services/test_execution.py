"""The pieces of a call: how many run at once, and in which order they are done."""

import asyncio

import pytest
from attrs import evolve
from convserve.errors import ShapeError
from convserve_server.services.execution import Execution
from convserve_server.workers.jobs import Job, JobResult
from convserve_server.workers.messages import Steps

from tests.planning import FixedAdvisor
from tests.targets import IdlePool, target_of
from tests.unit.server.workers.harness import in_loop

RESULT = JobResult(Steps(()), 0.5, 1)


class Pool(IdlePool):
    """Each job is done when the test says so."""

    def __init__(self):
        super().__init__()
        self.running = {}
        self.begun = asyncio.Event()

    async def run(self, job):
        future = self.running[job] = asyncio.get_running_loop().create_future()
        self.begun.set()
        try:
            return await future
        finally:
            del self.running[job]
            self.begun.set()

    async def until(self, *jobs):
        """Wait until just these run."""
        while sorted(self.running) != list(jobs):
            self.begun.clear()
            await self.begun.wait()


class Expecting:
    """The part of a preparation that looks ahead."""

    def __init__(self):
        self.rows = []

    def expect(self, work, rows, precision, layout):
        assert (work, precision, layout) == (b"work", "tf32", "channels_last")
        self.rows.append(rows)


class Call:
    """The part of a call that counts."""

    def __init__(self):
        self.work = []
        self.seconds = 0.0

    def end_stage(self, name):
        assert name == "queue"

    def move_stage(self, source, target, seconds):
        self.seconds += seconds


@pytest.fixture
def call():
    return Call()


def new_execution(pool, call, lanes):
    return Execution(target_of(FixedAdvisor(), pool=pool, lanes=lanes), call)


async def run_in_turn(execution, jobs, done):
    """What a stream does with its pieces."""
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            await execution.until_free()
            execution.begin(group, job, lambda job=job: done.append(job))
        return await execution.last


@in_loop
async def test_as_many_run_at_once_as_there_are_lanes(call):
    pool = Pool()
    running = asyncio.create_task(new_execution(pool, call, 2).run_all("abcd"))
    await pool.until("a", "b")
    pool.running["b"].set_result(RESULT)  # which does not free the lane of the first
    pool.running["a"].set_result(RESULT)
    await pool.until("c", "d")
    for job in "cd":
        pool.running[job].set_result(RESULT)
    assert await running is RESULT
    assert call.seconds == 2.0
    assert call.work == [("cpu", RESULT.steps.counts, 1)] * 4


@in_loop
async def test_with_one_lane_one_runs_after_the_other(call):
    pool = Pool()
    running = asyncio.create_task(new_execution(pool, call, 1).run_all("ab"))
    for job in "ab":
        await pool.until(job)
        pool.running[job].set_result(RESULT)
    assert await running is RESULT


@in_loop
async def test_pieces_are_done_in_their_order(call):
    pool, done = Pool(), []
    running = asyncio.create_task(run_in_turn(new_execution(pool, call, 3), "abc", done))
    await pool.until("a", "b", "c")
    pool.running["c"].set_result(RESULT)
    pool.running["b"].set_result(RESULT)
    await asyncio.wait((running,), timeout=0)
    assert done == []
    pool.running["a"].set_result(RESULT)
    await running
    assert done == ["a", "b", "c"]


@in_loop
async def test_after_an_error_none_is_begun_and_what_runs_is_waited_for(call):
    """It may write to memory that is the caller's again with the answer."""
    pool = Pool()
    running = asyncio.create_task(new_execution(pool, call, 3).run_all("abcde"))
    await pool.until("a", "b", "c")
    pool.running["b"].set_exception(ShapeError("7 is not 8"))
    pool.running["a"].set_result(RESULT)
    await pool.until("c")
    await asyncio.wait((running,), timeout=0)
    assert not running.done()
    pool.running["c"].set_exception(ShapeError("9 is not 10"))
    with pytest.raises(ShapeError, match="7 is not 8"):
        await running
    assert pool.running == {}


@pytest.mark.parametrize(("batch_rows", "expected"), [(2, []), (3, []), (4, [4]), (15, [8])])
@in_loop
async def test_batches_that_are_made_are_expected_again(call, batch_rows, expected):
    pool, preparation = Pool(), Expecting()
    job = Job(
        work=b"work", tensors=(), outputs=(), rows=2, precision="tf32", layout="channels_last"
    )
    target = target_of(FixedAdvisor(), pool=pool, preparation=preparation)
    running = asyncio.create_task(Execution(target, call).run_all([job]))
    await pool.begun.wait()
    pool.running[job].set_result(evolve(RESULT, batch_rows=batch_rows))
    await running
    assert preparation.rows == expected


@in_loop
async def test_cancelling_ends_what_runs(call):
    pool = Pool()
    running = asyncio.create_task(new_execution(pool, call, 2).run_all("abcd"))
    await pool.until("a", "b")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert pool.running == {}
