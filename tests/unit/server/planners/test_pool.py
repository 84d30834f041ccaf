"""Planner processes that hang, crash, devour memory and lie: one call suffers, once."""

import asyncio
import os
from contextlib import asynccontextmanager, closing

import pytest
from convserve.errors import (
    DrainingError,
    OverloadedError,
    ShapeError,
    TooLargeError,
    WorkerDiedError,
)
from convserve_server.planners.messages import Answer, Ready, encode_frame
from convserve_server.planners.pool import PlannerPool, TaskError
from convserve_server.workers.arena import Arena

from tests.unit.server.workers.harness import (
    cancel,
    child_pids,
    fifo,
    in_loop,
    is_alive,
    open_descriptors,
    started,
)

SECONDS = 30.0
TASKS = "tests.fakes.tasks"


@asynccontextmanager
async def planners(processes=1, seconds=SECONDS, **options):
    """A pool; afterwards no process and no descriptor of it is left."""
    children, descriptors = child_pids(), open_descriptors()
    pool = PlannerPool(processes, seconds, **options)
    try:
        yield pool
    finally:
        await pool.stop()
    assert child_pids() == children  # a server for all tests may be one
    assert open_descriptors() == descriptors


async def run(pool, task, request=b"", **more):
    return await pool.run(f"{TASKS}:{task}", request, **more)


async def works(pool):
    return await run(pool, "reverse", b"abc") == b"cba"


@in_loop
async def test_a_process_starts_with_the_first_task_and_stays():
    async with planners(processes=2) as pool:
        assert pool.pids == ()
        assert await works(pool)
        assert [(await run(pool, "pid")).decode() for _ in range(2)] == [str(pool.pids[0])] * 2
        assert len(pool.pids) == 1


@in_loop
async def test_tasks_run_side_by_side(tmp_path):
    async with planners(processes=2) as pool:
        with fifo(tmp_path, "first") as first, fifo(tmp_path, "second") as second:
            ends = [
                asyncio.create_task(run(pool, "hold", str(tmp_path / name).encode()))
                for name in ("first", "second")
            ]
            await asyncio.gather(first.reached(), second.reached())
            assert len(pool.pids) == 2
        assert await asyncio.gather(*ends) == [b"", b""]


@in_loop
async def test_the_error_of_a_task_is_its_callers():
    async with planners() as pool:
        with pytest.raises(ShapeError, match="7 is not 8") as caught:
            await run(pool, "refuse", b"layers[3]")
        assert caught.value.field == "layers[3]"
        assert caught.value.metadata == {"value": "7"}
        (before,) = pool.pids
        assert await works(pool)
        assert pool.pids == (before,)
    assert pool.restarts == 0


@in_loop
async def test_a_fault_of_a_task_is_for_the_log_and_leaves_the_process():
    async with planners() as pool:
        with pytest.raises(TaskError, match="the secret is 42"):
            await run(pool, "fail", b"42")
        with pytest.raises(TaskError, match="ModuleNotFoundError"):
            await pool.run("tests.fakes.no_such_module:task", b"")
        assert await works(pool)


@pytest.mark.parametrize("task", ["devour", "grow"])
@in_loop
async def test_what_takes_too_much_memory_is_refused(task):
    async with planners(memory_bytes=1 << 30) as pool:
        assert await works(pool)
        (before,) = pool.pids
        with pytest.raises(TooLargeError, match="1073741824 bytes of memory"):
            await run(pool, task)
        assert await works(pool)
        assert pool.pids != (before,)
    assert pool.restarts == 1


@in_loop
async def test_what_hangs_is_ended_and_another_process_takes_its_place():
    async with planners() as pool:
        assert await works(pool)
        (before,) = pool.pids
        with pytest.raises(TooLargeError, match=r"more than its 0\.05 s.*--planner-seconds"):
            await run(pool, "hang", seconds=0.05)
        assert await works(pool)
        assert pool.pids != (before,)


@in_loop
async def test_the_pools_own_limit_holds_for_all():
    async with planners(seconds=0.05) as pool:
        with pytest.raises(TooLargeError, match=r"0\.05 s"):
            await run(pool, "hang", seconds=60.0)


@pytest.mark.parametrize(
    ("task", "request_", "how"),
    [("die", b"", "signal 11 .SIGSEGV."), ("leave", b"3", "exited with code 3")],
)
@in_loop
async def test_a_crash_is_told_with_its_cause(task, request_, how):
    async with planners() as pool:
        with pytest.raises(WorkerDiedError, match=how) as caught:
            await run(pool, task, request_)
        assert caught.value.reason == "WORKER_DIED"
        assert await works(pool)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 64,  # a length above the limit
        b"\x03\x00\x00\x00abc",
        encode_frame(Ready()),
        encode_frame(Answer(1, status=b"\xff\xff")),
        encode_frame(Answer(7, b"of another request")),
    ],
)
@in_loop
async def test_an_answer_that_cannot_be_taken_ends_the_process(garbage):
    async with planners() as pool:
        with pytest.raises(WorkerDiedError, match=r"cannot be taken|out of turn"):
            await run(pool, "babble", garbage)
        assert await works(pool)


@in_loop
async def test_an_endless_response_is_a_fault_of_the_task():
    async with planners() as pool:
        with pytest.raises(TaskError, match="above the limit of 67108864"):
            await run(pool, "flood", str(1 << 27).encode())
        assert await works(pool)


@in_loop
async def test_a_process_that_ended_while_idle_is_replaced_before_it_is_asked():
    async with planners() as pool:
        assert await works(pool)
        (pid,) = pool.pids
        (process,) = pool._idle
        os.kill(pid, 9)
        await process._reader.read()  # until the end of its connection
        assert await works(pool)
        assert not is_alive(pid)


@in_loop
async def test_others_are_not_affected_by_one_that_hangs(tmp_path):
    async with planners(processes=2) as pool:
        with fifo(tmp_path) as gate:
            hanging = asyncio.create_task(run(pool, "hang", str(tmp_path / "fifo").encode()))
            await gate.reached()
            for _ in range(5):
                assert await works(pool)
            await cancel(hanging)


@in_loop
async def test_who_gives_up_frees_the_place_at_once(tmp_path):
    async with planners() as pool:
        with fifo(tmp_path) as gate:
            hanging = asyncio.create_task(run(pool, "hang", str(tmp_path / "fifo").encode()))
            await gate.reached()
            waiting = await started(works(pool))
            await cancel(hanging)
            assert await waiting


@in_loop
async def test_who_gives_up_while_it_waits_leaves_the_queue(tmp_path):
    async with planners(queue_length=1) as pool:
        with fifo(tmp_path) as gate:
            path = str(tmp_path / "fifo").encode()
            holding = asyncio.create_task(run(pool, "hold", path))
            await gate.reached()
            waiting = await started(works(pool))
            with pytest.raises(OverloadedError, match="1 plans and imports wait") as caught:
                await works(pool)
            assert caught.value.retry_delay == 1.0
            await cancel(waiting)
            second = await started(works(pool))
            gate.release()
            assert await second
            assert await holding == b""


@in_loop
async def test_what_runs_and_what_waits_is_refused_when_the_pool_stops(tmp_path):
    async with planners() as pool:
        with fifo(tmp_path) as gate:
            hanging = asyncio.create_task(run(pool, "hang", str(tmp_path / "fifo").encode()))
            await gate.reached()
            waiting = await started(works(pool))
            await pool.stop()
            for task in (hanging, waiting, works(pool)):
                with pytest.raises(DrainingError):
                    await task


@in_loop
async def test_a_process_that_cannot_start_is_told(monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    async with planners() as pool:
        with pytest.raises(WorkerDiedError, match="exited with code 1 at its start"):
            await works(pool)
        monkeypatch.setattr("sys.executable", "/no/such/file")
        with pytest.raises(WorkerDiedError, match="No such file"):
            await works(pool)


@in_loop
async def test_a_task_reads_a_region_and_cannot_write_it():
    with closing(Arena(1 << 16)) as arena:
        arena.allocate(100)
        region = arena.allocate(5000)
        region.view()[:] = b"x" * 4997 + b"end"
        async with planners(shared=arena.fd) as pool:
            where = (region.offset, region.byte_count)
            assert await run(pool, "read", region=where) == bytes(region.view())
            assert await run(pool, "keep", region=where) == b""
            assert await works(pool)


@in_loop
async def test_a_region_of_memory_that_was_not_given_is_a_fault():
    async with planners() as pool:
        with pytest.raises(TaskError, match="given no shared memory"):
            await run(pool, "read", region=(0, 10))
