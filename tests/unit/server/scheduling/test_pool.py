"""Jobs, one by one: in, out, refused, cancelled, lost. Batches are in test_pool_batches.py."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys

import numpy as np
import pytest
from convserve.errors import (
    DeadlineExceededError,
    DrainingError,
    InternalError,
    OverloadedError,
    ShapeError,
    TooLargeError,
    WorkerDiedError,
)
from convserve_server.observability.logs import JsonFormatter
from convserve_server.scheduling import pool as pool_module
from convserve_server.workers.arena import NoRoomError

from tests.unit.server.workers.harness import (
    REPOSITORY,
    cancel,
    child_pids,
    fifo,
    held,
    in_loop,
    is_alive,
    new_job,
    open_descriptors,
    output_of,
    passed,
    run_once,
    running_pool,
    started,
)


async def outcomes(*tasks):
    """The results of tasks, and the errors of those that have none."""
    return await asyncio.gather(*tasks, return_exceptions=True)


@in_loop
async def test_a_job_fills_its_outputs():
    async with running_pool(made_with={"threads": 3}) as (arena, pool):
        job, region = new_job(arena, value=2.0)
        with region:
            result = await pool.run(job)
            np.testing.assert_array_equal(output_of(job), [3, 4, 5, 6, 7])
        (step,) = result.steps.records
        assert (step.engine, step.algorithm) == ("scripted", "3")
        assert result.steps.counts == {("scripted", "3"): 1}
        assert result.compute_seconds > 0
        assert result.batch_rows == 1


@in_loop
async def test_jobs_run_in_their_order_and_the_queue_is_counted(tmp_path):
    async with running_pool() as (arena, pool):
        ended = []

        async def run(value):
            output = await run_once(arena, pool, value=value)
            ended.append(value)
            return output[0]

        async with held(arena, pool, tmp_path) as gate:
            runs = [await started(run(float(value))) for value in range(1, 6)]
            assert pool.queue_depth == 4  # one has been sent ahead
            assert arena.bytes_in_use > 0
            gate.release()
            assert await asyncio.gather(*runs) == [2, 3, 4, 5, 6]
        assert ended == [1, 2, 3, 4, 5]
        assert pool.queue_depth == 0


@in_loop
async def test_higher_priority_goes_first(tmp_path):
    async with running_pool() as (arena, pool):
        ended = []

        async def run(priority):
            await run_once(arena, pool, priority=priority)
            ended.append(priority)

        async with held(arena, pool, tmp_path) as gate:
            ahead = await started(run_once(arena, pool))
            runs = [await started(run(priority)) for priority in (0, -5, 9, 3, 9)]
            gate.release()
            await asyncio.gather(ahead, *runs)
        assert ended == [9, 9, 3, 0, -5]


@in_loop
async def test_two_workers_compute_side_by_side(tmp_path):
    async with running_pool(workers=2) as (arena, pool):
        assert len(set(pool.pids)) == 2
        async with held(arena, pool, tmp_path, "first"), held(arena, pool, tmp_path, "second"):
            assert pool.queue_depth == 0


@in_loop
async def test_a_worker_that_is_held_keeps_no_other_from_working(tmp_path):
    async with running_pool(workers=2) as (arena, pool), held(arena, pool, tmp_path):
        for value in range(5):
            output = await run_once(arena, pool, value=value)
            np.testing.assert_array_equal(output, np.arange(5) + value + 1)


@in_loop
async def test_a_full_queue_refuses_with_the_numbers(tmp_path):
    async with running_pool(limits={"queue_limit": 1}) as (arena, pool):
        pool.check_open()
        async with held(arena, pool, tmp_path) as gate:
            runs = [await started(run_once(arena, pool)) for _ in range(2)]
            with pytest.raises(OverloadedError, match="1 calls wait for a worker") as caught:
                await run_once(arena, pool)
            assert caught.value.retry_delay
            with pytest.raises(OverloadedError):
                pool.check_open()
            gate.release()
            await asyncio.gather(*runs)
        pool.check_open()


@in_loop
async def test_what_needs_more_than_the_workers_memory_is_refused():
    async with running_pool(limits={"working_budget_bytes": 100}) as (arena, pool):
        await run_once(arena, pool, working_bytes=100)
        with pytest.raises(TooLargeError) as caught:
            await run_once(arena, pool, working_bytes=101)
        assert caught.value.metadata == {"planned_bytes": "101", "budget_bytes": "100"}


@in_loop
async def test_what_runs_at_once_stays_within_the_workers_memory(tmp_path):
    limits = {"working_budget_bytes": 100}
    async with (
        running_pool(workers=2, limits=limits) as (arena, pool),
        held(arena, pool, tmp_path, working_bytes=60) as gate,
    ):
        large = await started(run_once(arena, pool, working_bytes=60))
        await run_once(arena, pool, working_bytes=40)
        assert not large.done()
        assert pool.queue_depth == 1
        gate.release()
        await large


@in_loop
async def test_a_deadline_that_passes_while_a_job_waits_ends_it_unsent(tmp_path, monkeypatch):
    async with running_pool() as (arena, pool):
        async with held(arena, pool, tmp_path) as gate:
            ahead = await started(run_once(arena, pool))
            deadline = asyncio.get_running_loop().time() + 3600
            late = await started(run_once(arena, pool, "die:", deadline=deadline))
            assert pool.queue_depth == 1
            monkeypatch.setattr(pool_module, "_now", lambda: deadline)
            gate.release()
            with pytest.raises(DeadlineExceededError, match=r"waited 3600\.\d+ s for a worker"):
                await late
            await ahead
        assert pool.restarts == 0


@in_loop
async def test_a_job_whose_deadline_has_passed_is_refused():
    async with running_pool() as (arena, pool):
        now = asyncio.get_running_loop().time()
        with pytest.raises(DeadlineExceededError):
            await run_once(arena, pool, "die:", deadline=now)
        await run_once(arena, pool)
        assert pool.restarts == 0


@in_loop
async def test_a_child_killed_in_mid_call_is_replaced_and_nothing_leaks(tmp_path):
    async with running_pool() as (arena, pool):
        await run_once(arena, pool)
        before, (pid,) = open_descriptors(), pool.pids
        with fifo(tmp_path) as gate:
            doomed = asyncio.create_task(run_once(arena, pool, gate.key))
            await gate.reached()
            ahead = await started(run_once(arena, pool))
            waiting = [await started(run_once(arena, pool)) for _ in range(2)]
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(WorkerDiedError, match=r"signal 9 \(SIGKILL\).*retry once"):
                await doomed
            assert not is_alive(pid)
            for output in await asyncio.gather(ahead, *waiting):
                np.testing.assert_array_equal(output, [2, 3, 4, 5, 6])
        assert pool.pids not in ((), (pid,))
        assert pool.restarts == 1
        assert arena.bytes_in_use == 0
        assert open_descriptors() == before


@in_loop
async def test_a_child_killed_while_idle_is_replaced():
    async with running_pool() as (arena, pool):
        (pid,) = pool.pids
        os.kill(pid, signal.SIGKILL)
        np.testing.assert_array_equal(await run_until_served(arena, pool), [2, 3, 4, 5, 6])
        assert pool.pids != (pid,)
        assert pool.restarts == 1


async def run_until_served(arena, pool):
    """Run one job; if it was sent just before the loss was noticed, once more."""
    try:
        return await run_once(arena, pool)
    except WorkerDiedError:
        return await run_once(arena, pool)


@in_loop
async def test_the_others_work_on_while_a_child_is_replaced(tmp_path):
    async with running_pool(workers=2) as (arena, pool):
        async with held(arena, pool, tmp_path, "first"):
            with pytest.raises(WorkerDiedError):
                await run_once(arena, pool, "die:")
            ahead = await started(run_once(arena, pool))  # to the one that is held
            await run_once(arena, pool)
            assert not ahead.done()
        await ahead
        assert pool.restarts == 1
        assert len(set(pool.pids)) == 2


@pytest.mark.parametrize(
    ("command", "story"),
    [("die:", "was ended by signal 9"), ("exit:3", "exited with code 3"), ("babble:", "signal 9")],
)
@in_loop
async def test_a_child_that_ends_itself_or_sends_garbage_fails_what_it_computed(command, story):
    async with running_pool() as (arena, pool):
        doomed, ahead, waiting = [
            await started(run_once(arena, pool, key)) for key in (command, "", "")
        ]
        results = await outcomes(doomed, ahead, waiting)
        assert isinstance(results[0], WorkerDiedError)
        assert story in results[0].message
        for result in results[1:]:  # one of them had been sent ahead
            np.testing.assert_array_equal(result, [2, 3, 4, 5, 6])


@in_loop
async def test_a_job_cancelled_while_it_waits_is_never_sent(tmp_path):
    async with running_pool() as (arena, pool):
        async with held(arena, pool, tmp_path):
            ahead = await started(run_once(arena, pool))
            in_use = arena.bytes_in_use
            waiting = await started(run_once(arena, pool, "die:"))
            assert pool.queue_depth == 1
            await cancel(waiting)
            assert pool.queue_depth == 0
            assert arena.bytes_in_use == in_use
        await ahead
        assert pool.restarts == 0


@in_loop
async def test_a_job_sent_ahead_and_cancelled_is_not_begun_and_keeps_its_memory_until_then(
    tmp_path,
):
    async with running_pool() as (arena, pool):
        async with held(arena, pool, tmp_path):
            ahead = await started(run_once(arena, pool, "die:"))
            assert pool.queue_depth == 0
            in_use = arena.bytes_in_use
            await cancel(ahead)
            assert arena.bytes_in_use == in_use
        await run_once(arena, pool)
        assert arena.bytes_in_use == 0
        assert pool.restarts == 0


@in_loop
async def test_a_job_cancelled_while_it_runs_keeps_its_memory_until_it_ends(tmp_path):
    async with running_pool(abandon_seconds=600.0) as (arena, pool):
        with fifo(tmp_path) as gate:
            running = asyncio.create_task(run_once(arena, pool, gate.key))
            await gate.reached()
            in_use = arena.bytes_in_use
            await cancel(running)
            assert arena.bytes_in_use == in_use > 0
            gate.release()
            await run_once(arena, pool)
        assert arena.bytes_in_use == 0
        assert pool.restarts == 0


@in_loop
async def test_a_runaway_computation_is_killed_and_only_then_its_memory_is_free(tmp_path):
    async with running_pool(abandon_seconds=0.0) as (arena, pool):
        (pid,) = pool.pids
        with fifo(tmp_path) as gate:
            freed = asyncio.get_running_loop().create_future()
            job, region = new_job(arena, gate.key, on_free=lambda: freed.set_result(is_alive(pid)))
            running = asyncio.create_task(pool.run(job))
            await gate.reached()
            region.release()
            await cancel(running)
            assert not await freed  # the child was gone by then
        np.testing.assert_array_equal(await run_once(arena, pool), [2, 3, 4, 5, 6])
        assert pool.pids != (pid,)


@in_loop
async def test_nothing_is_killed_for_a_job_given_up_that_was_sent_ahead_of_its_turn(tmp_path):
    async with running_pool(abandon_seconds=0.0) as (arena, pool):
        (pid,) = pool.pids
        async with held(arena, pool, tmp_path):
            ahead = await started(run_once(arena, pool, "die:"))
            await cancel(ahead)
            await passed(asyncio.get_running_loop().time())  # a kill would have come before
            assert pool.pids == (pid,)
            assert is_alive(pid)


@in_loop
async def test_an_error_of_the_engine_comes_back_whole():
    async with running_pool() as (arena, pool):
        with pytest.raises(ShapeError) as caught:
            await run_once(arena, pool, "refuse:conv1.weight")
        error = caught.value
        assert (error.message, error.field) == ("7 is not 8", "conv1.weight")
        assert error.metadata == {"value": "7"}
        await run_once(arena, pool)
        assert pool.restarts == 0


@in_loop
async def test_a_fault_of_the_engine_is_told_to_the_log_only(caplog):
    async with running_pool() as (arena, pool):
        with pytest.raises(InternalError) as caught:
            await run_once(arena, pool, "break:/secret/path")
        assert "secret" not in str(caught.value)
        assert caught.value.metadata["error_id"] == "r-1"
        (record,) = [r for r in caplog.records if r.getMessage() == "fault of the engine"]
        event = json.loads(JsonFormatter().format(record))
        assert event["request_id"] == "r-1"
        assert "RuntimeError: /secret/path" in event["story"]
        await run_once(arena, pool)
        assert pool.restarts == 0


@in_loop
async def test_an_engine_out_of_memory_says_what_to_do():
    async with running_pool() as (arena, pool):
        with pytest.raises(TooLargeError, match="split the batch"):
            await run_once(arena, pool, "devour:")
        await run_once(arena, pool)


@in_loop
async def test_forgetting_comes_after_the_jobs_before_it():
    async with running_pool() as (arena, pool):
        await run_once(arena, pool, "keep:weights")
        with pytest.raises(ShapeError, match="there already"):
            await run_once(arena, pool, "keep:weights")
        again = await started(run_once(arena, pool, "keep:others"))
        forgetting = await started(pool.forget("keep:others"))
        once_more = await started(run_once(arena, pool, "keep:others"))
        await asyncio.gather(again, forgetting, once_more)


@in_loop
async def test_forgetting_reaches_every_worker(tmp_path):
    async with running_pool(workers=2) as (arena, pool):
        await keep_on_both(arena, pool, tmp_path, "before")
        with pytest.raises(ShapeError, match="there already"):
            await keep_on_both(arena, pool, tmp_path, "again")
        await pool.forget("keep:weights")
        await keep_on_both(arena, pool, tmp_path, "after")


async def keep_on_both(arena, pool, directory, name):
    """Have each of two workers keep weights, while the other one is held."""
    async with held(arena, pool, directory, f"{name}-first") as first:
        await run_once(arena, pool, "keep:weights")
        async with held(arena, pool, directory, f"{name}-second"):
            first.release()
            await run_once(arena, pool, "keep:weights")


@in_loop
async def test_forgetting_is_done_when_the_child_dies_of_it():
    async with running_pool() as (arena, pool):
        await pool.forget("die:")
        await run_once(arena, pool)
        assert pool.restarts == 1


@in_loop
async def test_stopping_fails_what_is_left_and_leaves_nothing(tmp_path):
    before = open_descriptors()
    async with running_pool() as (arena, pool):
        (pid,) = pool.pids
        with fifo(tmp_path) as gate:
            running = asyncio.create_task(run_once(arena, pool, gate.key))
            await gate.reached()
            others = [await started(run_once(arena, pool)) for _ in range(2)]
            assert pool.queue_depth == 1
            await pool.stop()
            for result in await outcomes(running, *others):
                assert isinstance(result, DrainingError)
            with pytest.raises(DrainingError):
                await run_once(arena, pool)
        assert not is_alive(pid)
        assert pool.pids == ()
        await pool.stop()
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("engine", "story"),
    [
        ("CannotLoad", "with code 1 before it was ready: RuntimeError: the engine's library is"),
        ("Nothing", "with code 1 before it was ready: AttributeError: module"),
    ],
)
@in_loop
async def test_a_child_that_cannot_start_is_told(engine, story):
    with pytest.raises(WorkerDiedError, match=story):
        async with running_pool(engine):
            pytest.fail("it started")


@in_loop
async def test_a_child_that_is_never_ready_is_killed():
    with pytest.raises(WorkerDiedError, match=r"not ready after 0\.05 s"):
        async with running_pool("NeverReady", ready_seconds=0.05):
            pytest.fail("it started")


@in_loop
async def test_when_one_child_cannot_start_none_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_LIBRARY", str(tmp_path / "library"))
    before = open_descriptors(), child_pids()
    with pytest.raises(WorkerDiedError, match="exited with code 1 before it was ready"):
        async with running_pool("LoadsOnce", workers=2):
            pytest.fail("it started")
    assert (open_descriptors(), child_pids()) == before


@in_loop
async def test_jobs_fail_while_no_child_can_be_started(tmp_path, monkeypatch):
    library = tmp_path / "library"
    library.touch()
    monkeypatch.setenv("FAKE_LIBRARY", str(library))
    async with running_pool("NeedsLibrary") as (arena, pool):
        await pool.until_able()
        library.unlink()
        lost, ahead, waiting = [
            await started(run_once(arena, pool, key)) for key in ("die:", "", "")
        ]
        forgetting = asyncio.create_task(pool.forget("weights"))
        with pytest.raises(WorkerDiedError, match="while it computed this call"):
            await lost
        for task in (ahead, waiting):
            with pytest.raises(WorkerDiedError, match="nothing can be computed now") as caught:
                await task
            assert caught.value.retry_delay
        await forgetting
        await pool.until_unable()
        assert pool.pids == ()
        with pytest.raises(WorkerDiedError, match=r"exited with code 1 before it was ready"):
            await run_once(arena, pool)
        await pool.forget("weights")
        library.touch()
        await pool.until_able()
        await run_once(arena, pool)
        assert pool.restarts == 1


@in_loop
async def test_one_worker_is_enough_to_be_able(tmp_path, monkeypatch):
    library = tmp_path / "library"
    library.touch()
    monkeypatch.setenv("FAKE_LIBRARY", str(library))
    async with running_pool("NeedsLibrary", workers=2) as (arena, pool):
        async with held(arena, pool, tmp_path):
            library.unlink()
            with pytest.raises(WorkerDiedError):
                await run_once(arena, pool, "die:")
            left = await started(run_once(arena, pool))
            assert len(pool.pids) == 1
        np.testing.assert_array_equal(await left, [2, 3, 4, 5, 6])
        await pool.until_able()
        library.touch()


FRONT = """
import asyncio, sys
from tests.unit.server.workers.harness import run_once, running_pool

async def front(key):
    async with running_pool() as (arena, pool):
        print(*pool.pids, flush=True)
        await run_once(arena, pool, key)

asyncio.run(front(sys.argv[1]))
"""


def test_a_child_in_mid_call_ends_with_a_killed_front(tmp_path):
    with fifo(tmp_path) as gate:
        front = subprocess.Popen(
            [sys.executable, "-c", FRONT, gate.key], stdout=subprocess.PIPE, cwd=REPOSITORY
        )
        with front:
            asyncio.run(gate.reached())
            exited = os.pidfd_open(int(front.stdout.readline()))
            front.kill()
            assert select.select([exited], [], [], 60)[0] == [exited]
            os.close(exited)


@in_loop
async def test_the_arena_is_still_what_it_was_after_many_deaths():
    async with running_pool() as (arena, pool):
        for _ in range(3):
            with pytest.raises(WorkerDiedError):
                await run_once(arena, pool, "die:")
        assert pool.restarts >= 2
        with pytest.raises(NoRoomError):
            arena.allocate(arena.capacity_bytes + 1)
        arena.allocate(arena.capacity_bytes).release()
