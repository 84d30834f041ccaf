"""Workers whose engine has lanes: what runs at once, and who is to blame when one is lost."""

import asyncio
import os
from contextlib import asynccontextmanager

import pytest
from convserve.errors import WorkerDiedError

from tests.fakes.lane_engine import DIE, FIFO, LOSE, WAIT
from tests.unit.server.workers.harness import (
    cancel,
    in_loop,
    new_rows,
    output_of,
    run_rows,
    running_pool,
    started,
)

LANES = 2


@pytest.fixture
def gate(tmp_path, monkeypatch):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    monkeypatch.setenv(FIFO, str(path))
    return path


def lanes_pool(engine="Lanes", **options):
    return running_pool(
        engine,
        module="tests.fakes.lane_engine",
        limits={"lanes": LANES},
        made_with={"lanes": LANES},
        **options,
    )


@asynccontextmanager
async def held(arena, pool, gate):
    """The first lane is held as long as the block lasts."""
    holding = asyncio.create_task(run_rows(arena, pool, WAIT, batch_key=None))
    end = await asyncio.to_thread(gate.open, "wb")
    try:
        yield end
    finally:
        end.close()
    await holding


async def run(arena, pool, *values):
    """What the job's only step was told to be, and its result."""
    job, region = new_rows(arena, values, batch_key=None)
    with region:
        result = await pool.run(job)
        return result.steps.records[0].algorithm, output_of(job)[:, 0].tolist()


@in_loop
async def test_the_device_is_known_once_a_worker_is_ready():
    async with lanes_pool() as (_, pool):
        assert pool.device.name == "a device of lanes"
        assert pool.device.memory_bytes == 1 << 20


@in_loop
async def test_several_jobs_run_at_once_and_one_is_sent_ahead(gate):
    async with lanes_pool() as (arena, pool):
        async with held(arena, pool, gate):
            others = [await started(run(arena, pool, value)) for value in (1, 2, 3)]
            assert pool.queue_depth == 1  # the last of them
            assert pool.load == 4
        algorithms, results = zip(*await asyncio.gather(*others), strict=True)
    assert set(algorithms) == {"strict, 2 at once"}
    assert results == ([2], [3], [4])


@in_loop
async def test_jobs_of_one_key_are_a_batch_when_the_lanes_are_busy(gate):
    async with lanes_pool() as (arena, pool):
        async with held(arena, pool, gate):
            alone = await started(run_rows(arena, pool, 1))
            many = [await started(run_rows(arena, pool, value)) for value in (2, 3, 4)]
            assert pool.queue_depth == 3
        assert await alone == 1
        assert await asyncio.gather(*many) == [3, 3, 3]


@in_loop
async def test_whatever_may_have_begun_is_lost_with_the_worker_and_the_rest_waits_again(gate):
    async with lanes_pool() as (arena, pool):
        holding = asyncio.create_task(run(arena, pool, WAIT))
        end = await asyncio.to_thread(gate.open, "wb")
        killer, ahead, waiting = [await started(run(arena, pool, value)) for value in (DIE, 5, 6)]
        for lost in (holding, killer):
            with pytest.raises(WorkerDiedError, match="signal 9"):
                await lost
        end.close()
        assert (await ahead)[1] == [6]
        assert (await waiting)[1] == [7]
        assert pool.restarts == 1


@in_loop
async def test_a_lost_device_ends_its_worker_and_another_is_started(capfd):
    async with lanes_pool() as (arena, pool):
        with pytest.raises(WorkerDiedError, match="exited with code 70"):
            await run(arena, pool, LOSE)
        assert (await run(arena, pool, 1))[1] == [2]
    assert "an illegal address was accessed" in capfd.readouterr().err


@in_loop
async def test_a_device_that_is_lost_at_the_start_is_told():
    with pytest.raises(WorkerDiedError, match="exited with code 70 before it was ready"):
        async with lanes_pool("NoDevice"):
            pytest.fail("it cannot start")


@in_loop
async def test_what_was_given_up_in_its_lane_does_not_disturb_the_others(gate):
    async with lanes_pool() as (arena, pool):
        async with held(arena, pool, gate):
            second, ahead = [await started(run(arena, pool, value)) for value in (1, 2)]
            await cancel(ahead)
            assert not second.done()
        assert (await second)[1] == [2]


@in_loop
async def test_a_key_is_forgotten_while_lanes_are_busy(gate):
    async with lanes_pool() as (arena, pool):
        async with held(arena, pool, gate):
            forgetting = await started(pool.forget("m-1"))
            assert not forgetting.done()
        await forgetting
