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
    DrainingError,
    InternalError,
    OverloadedError,
    ShapeError,
    TooLargeError,
    WorkerDiedError,
)
from convserve_server.observability.logs import JsonFormatter
from convserve_server.workers.arena import Arena, NoRoomError
from convserve_server.workers.process import ChildProcess

from tests.unit.server.workers.harness import (
    REPOSITORY,
    fifo,
    in_loop,
    new_job,
    open_descriptors,
    run_once,
    running_worker,
    sum_of,
)


def is_alive(pid):
    """Whether a process of this id exists, a zombie included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@in_loop
async def test_a_job_fills_its_outputs():
    async with running_worker(threads=3) as (arena, worker):
        job, region = new_job(arena, value=2.0)
        with region:
            result = await worker.run(job)
            np.testing.assert_array_equal(sum_of(job), [3, 4, 5, 6, 7])
        (step,) = result.steps
        assert (step.engine, step.algorithm) == ("scripted", "3")
        assert result.queue_seconds >= 0
        assert result.compute_seconds > 0


@in_loop
async def test_jobs_run_in_their_order_and_the_queue_is_counted(tmp_path):
    async with running_worker() as (arena, worker):
        ended = []

        async def run(value, key=""):
            output = await run_once(arena, worker, key, value)
            ended.append(value)
            return output[0]

        with fifo(tmp_path) as gate:
            runs = [asyncio.create_task(run(0.0, gate.key))]
            runs += [asyncio.create_task(run(float(value))) for value in range(1, 5)]
            await gate.reached()
            assert worker.queue_depth == 4
            assert arena.bytes_in_use > 0
            gate.release()
            assert await asyncio.gather(*runs) == [1, 2, 3, 4, 5]
        assert ended == [0, 1, 2, 3, 4]
        assert worker.queue_depth == 0


@in_loop
async def test_a_full_queue_refuses_with_the_numbers(tmp_path):
    async with running_worker(queue_limit=1) as (arena, worker):
        with fifo(tmp_path) as gate:
            runs = [asyncio.create_task(run_once(arena, worker, gate.key))]
            runs += [asyncio.create_task(run_once(arena, worker))]
            await gate.reached()
            with pytest.raises(OverloadedError, match="1 calls wait for the worker") as caught:
                await run_once(arena, worker)
            assert caught.value.retry_delay
            gate.release()
            await asyncio.gather(*runs)


@in_loop
async def test_a_child_killed_in_mid_call_is_replaced_and_nothing_leaks(tmp_path):
    async with running_worker() as (arena, worker):
        await run_once(arena, worker)
        before, pid = open_descriptors(), worker.pid
        with fifo(tmp_path) as gate:
            doomed = asyncio.create_task(run_once(arena, worker, gate.key))
            waiting = [asyncio.create_task(run_once(arena, worker)) for _ in range(2)]
            await gate.reached()
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(WorkerDiedError, match=r"signal 9 \(SIGKILL\).*retry once"):
                await doomed
            assert not is_alive(pid)
            for output in await asyncio.gather(*waiting):
                np.testing.assert_array_equal(output, [2, 3, 4, 5, 6])
        assert worker.pid not in (None, pid)
        assert worker.restarts == 1
        assert arena.bytes_in_use == 0
        assert open_descriptors() == before


@in_loop
async def test_a_child_killed_while_idle_is_replaced():
    async with running_worker() as (arena, worker):
        pid = worker.pid
        os.kill(pid, signal.SIGKILL)
        np.testing.assert_array_equal(await run_until_served(arena, worker), [2, 3, 4, 5, 6])
        assert worker.pid != pid
        assert worker.restarts == 1


async def run_until_served(arena, worker):
    """Run one job; if it was sent just before the loss was noticed, once more."""
    try:
        return await run_once(arena, worker)
    except WorkerDiedError:
        return await run_once(arena, worker)


@pytest.mark.parametrize(
    ("command", "story"),
    [("die:", "was ended by signal 9"), ("exit:3", "exited with code 3"), ("babble:", "signal 9")],
)
@in_loop
async def test_a_child_that_ends_itself_or_sends_garbage_fails_its_job_only(command, story):
    async with running_worker() as (arena, worker):
        results = await asyncio.gather(
            run_once(arena, worker, command), run_once(arena, worker), return_exceptions=True
        )
        assert isinstance(results[0], WorkerDiedError)
        assert story in results[0].message
        np.testing.assert_array_equal(results[1], [2, 3, 4, 5, 6])


@in_loop
async def test_a_job_cancelled_while_it_waits_is_never_sent(tmp_path):
    async with running_worker() as (arena, worker):
        with fifo(tmp_path) as gate:
            running = asyncio.create_task(run_once(arena, worker, gate.key))
            waiting = asyncio.create_task(run_once(arena, worker, "die:"))
            await gate.reached()
            in_use = arena.bytes_in_use
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert worker.queue_depth == 0
            assert arena.bytes_in_use == in_use / 2
            gate.release()
            await running
        assert worker.restarts == 0


@in_loop
async def test_a_job_cancelled_while_it_runs_keeps_its_memory_until_it_ends(tmp_path):
    async with running_worker(abandon_seconds=600.0) as (arena, worker):
        with fifo(tmp_path) as gate:
            running = asyncio.create_task(run_once(arena, worker, gate.key))
            await gate.reached()
            in_use = arena.bytes_in_use
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert arena.bytes_in_use == in_use > 0
            gate.release()
            await run_once(arena, worker)
        assert arena.bytes_in_use == 0
        assert worker.restarts == 0


@in_loop
async def test_a_runaway_computation_is_killed_and_only_then_its_memory_is_free(tmp_path):
    async with running_worker(abandon_seconds=0.0) as (arena, worker):
        pid = worker.pid
        with fifo(tmp_path) as gate:
            freed = asyncio.get_running_loop().create_future()
            job, region = new_job(arena, gate.key, on_free=lambda: freed.set_result(is_alive(pid)))
            running = asyncio.create_task(worker.run(job))
            await gate.reached()
            region.release()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert not await freed  # the child was gone by then
        np.testing.assert_array_equal(await run_once(arena, worker), [2, 3, 4, 5, 6])
        assert worker.pid != pid


@in_loop
async def test_an_error_of_the_engine_comes_back_whole():
    async with running_worker() as (arena, worker):
        with pytest.raises(ShapeError) as caught:
            await run_once(arena, worker, "refuse:conv1.weight")
        error = caught.value
        assert (error.message, error.field) == ("7 is not 8", "conv1.weight")
        assert error.metadata == {"value": "7"}
        await run_once(arena, worker)
        assert worker.restarts == 0


@in_loop
async def test_a_fault_of_the_engine_is_told_to_the_log_only(caplog):
    async with running_worker() as (arena, worker):
        with pytest.raises(InternalError) as caught:
            await run_once(arena, worker, "break:/secret/path")
        assert "secret" not in str(caught.value)
        assert caught.value.metadata["error_id"] == "r-1"
        (record,) = [r for r in caplog.records if r.getMessage() == "fault of the engine"]
        event = json.loads(JsonFormatter().format(record))
        assert event["request_id"] == "r-1"
        assert "RuntimeError: /secret/path" in event["story"]
        await run_once(arena, worker)
        assert worker.restarts == 0


@in_loop
async def test_an_engine_out_of_memory_says_what_to_do():
    async with running_worker() as (arena, worker):
        with pytest.raises(TooLargeError, match="split the batch"):
            await run_once(arena, worker, "devour:")
        await run_once(arena, worker)


@in_loop
async def test_forgetting_comes_after_the_jobs_before_it():
    async with running_worker() as (arena, worker):
        await run_once(arena, worker, "keep:weights")
        with pytest.raises(ShapeError, match="there already"):
            await run_once(arena, worker, "keep:weights")
        again = asyncio.create_task(run_once(arena, worker, "keep:others"))
        forgetting = asyncio.create_task(worker.forget("keep:others"))
        once_more = asyncio.create_task(run_once(arena, worker, "keep:others"))
        await asyncio.gather(again, forgetting, once_more)


@in_loop
async def test_forgetting_is_done_when_the_child_dies_of_it():
    async with running_worker() as (arena, worker):
        await worker.forget("die:")
        await run_once(arena, worker)
        assert worker.restarts == 1


@in_loop
async def test_stopping_fails_what_is_left_and_leaves_nothing(tmp_path):
    before = open_descriptors()
    async with running_worker() as (arena, worker):
        pid = worker.pid
        with fifo(tmp_path) as gate:
            runs = [asyncio.create_task(run_once(arena, worker, gate.key)) for _ in range(2)]
            await gate.reached()
            await worker.stop()
            for result in await asyncio.gather(*runs, return_exceptions=True):
                assert isinstance(result, DrainingError)
            with pytest.raises(DrainingError):
                await run_once(arena, worker)
        assert not is_alive(pid)
        assert worker.pid is None
        await worker.stop()
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("engine", "story"),
    [("CannotLoad", "exited with code 1 before it was ready"), ("Nothing", "exited with code 1")],
)
@in_loop
async def test_a_child_that_cannot_start_is_told(engine, story):
    with pytest.raises(WorkerDiedError, match=story):
        async with running_worker(engine):
            pytest.fail("it started")


@in_loop
async def test_a_child_that_is_never_ready_is_killed():
    with pytest.raises(WorkerDiedError, match=r"not ready after 0\.05 s"):
        async with running_worker("NeverReady", ready_seconds=0.05):
            pytest.fail("it started")


@in_loop
async def test_jobs_fail_while_no_child_can_be_started(tmp_path, monkeypatch):
    library = tmp_path / "library"
    library.touch()
    monkeypatch.setenv("FAKE_LIBRARY", str(library))
    async with running_worker("NeedsLibrary") as (arena, worker):
        await worker.until_able()
        library.unlink()
        lost = asyncio.create_task(run_once(arena, worker, "die:"))
        waiting = asyncio.create_task(run_once(arena, worker))
        forgetting = asyncio.create_task(worker.forget("weights"))
        with pytest.raises(WorkerDiedError, match="while it computed this call"):
            await lost
        with pytest.raises(WorkerDiedError, match="nothing can be computed now") as caught:
            await waiting
        assert caught.value.retry_delay
        await forgetting
        await worker.until_unable()
        assert worker.pid is None
        with pytest.raises(WorkerDiedError, match=r"exited with code 1 before it was ready"):
            await run_once(arena, worker)
        await worker.forget("weights")
        library.touch()
        await worker.until_able()
        await run_once(arena, worker)
        assert worker.restarts == 1


@in_loop
async def test_a_child_exits_by_itself_when_the_connection_closes():
    arena = Arena(4096)
    child = await ChildProcess.start(arena, "tests.fakes.engines:Scripted", None, 60.0)
    assert await child.end(patience=60.0) == "exited with code 0"
    arena.close()


FRONT = """
import asyncio, sys
from tests.unit.server.workers.harness import run_once, running_worker

async def front(key):
    async with running_worker() as (arena, worker):
        print(worker.pid, flush=True)
        await run_once(arena, worker, key)

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
    async with running_worker() as (arena, worker):
        for _ in range(3):
            with pytest.raises(WorkerDiedError):
                await run_once(arena, worker, "die:")
        assert worker.restarts >= 2
        with pytest.raises(NoRoomError):
            arena.allocate(arena.capacity_bytes + 1)
        arena.allocate(arena.capacity_bytes).release()
