"""Jobs that run together: who does, what each gets, and what becomes of the others."""

import asyncio
import os
import random
import signal

import numpy as np
import pytest
from convserve.errors import DrainingError, ShapeError, WorkerDiedError

from tests.unit.server.workers.harness import (
    cancel,
    fifo,
    held,
    in_loop,
    is_alive,
    new_rows,
    output_of,
    run_once,
    run_rows,
    running_pool,
    started,
)


@in_loop
async def test_what_waits_runs_as_batches_by_key_and_only_by_key(tmp_path):
    async with running_pool() as (arena, pool), held(arena, pool, tmp_path) as gate:
        runs = {
            (key, value): await started(run_rows(arena, pool, value, batch_key=key))
            for value in range(3)
            for key in ("a", "b", None)
        }
        gate.release()
        rows = dict(zip(runs, await asyncio.gather(*runs.values()), strict=True))
    assert {key: rows[key, 0] for key in ("a", "b", None)} == {"a": 3, "b": 3, None: 1}
    assert all(rows[key, value] == rows[key, 0] for key, value in rows)


@in_loop
async def test_jobs_of_several_rows_and_of_none_are_one_batch(tmp_path):
    async with running_pool() as (arena, pool), held(arena, pool, tmp_path) as gate:
        runs = [
            await started(run_rows(arena, pool, *values))
            for values in ((1, 2), (), (3,), (4, 5, 6))
        ]
        gate.release()
        assert await asyncio.gather(*runs) == [6] * 4


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"batch_rows": 4}, [4, 4, 4, 4, 2, 2]),
        ({"batch_rows": 1}, [1] * 6),
        ({"batch_bytes": 2 * 24}, [2] * 6),
        ({"working_budget_bytes": 3000}, [3] * 6),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@in_loop
async def test_batches_keep_to_their_limits(tmp_path, limits, expected):
    async with (
        running_pool(limits=limits) as (arena, pool),
        held(arena, pool, tmp_path) as gate,
    ):
        runs = [
            await started(run_rows(arena, pool, value, working_bytes=1000)) for value in range(6)
        ]
        gate.release()
        assert await asyncio.gather(*runs) == expected


@in_loop
async def test_the_first_of_a_batch_is_the_one_of_the_highest_priority(tmp_path):
    async with running_pool(limits={"batch_rows": 2}) as (arena, pool):
        ended = []

        async def run(priority):
            await run_rows(arena, pool, priority, priority=priority)
            ended.append(priority)

        async with held(arena, pool, tmp_path) as gate:
            ahead = await started(run_once(arena, pool))
            runs = [await started(run(priority)) for priority in (1, 4, 2, 3)]
            gate.release()
            await asyncio.gather(ahead, *runs)
        assert ended == [4, 3, 2, 1]


@pytest.mark.parametrize("seed", range(4))
@in_loop
async def test_everybody_gets_his_own_result(seed):
    """`run_rows` checks it: each number occurs once."""
    rng = random.Random(seed)
    numbers = iter(range(10**6))
    limits = {"batch_rows": 8, "queue_limit": 1000}
    async with running_pool(workers=2, limits=limits) as (arena, pool):

        async def call():
            rows = rng.choice((0, 1, 1, 1, 2, 5))
            values = [next(numbers) for _ in range(rows)]
            key, priority = rng.choice(("a", "b", None)), rng.randrange(2)
            return await run_rows(arena, pool, *values, batch_key=key, priority=priority)

        async def caller():
            return [await call() for _ in range(rng.randrange(1, 10))]

        callers = [asyncio.create_task(caller()) for _ in range(30)]
        given_up = [await started(call()) for _ in range(20)]
        for task in rng.sample(given_up, len(given_up)):
            task.cancel()
        batches = [rows for found in await asyncio.gather(*callers) for rows in found]
        await asyncio.wait(given_up)
        assert max(batches) > 5  # more than one call


@in_loop
async def test_a_part_that_is_refused_leaves_the_others_their_results(tmp_path):
    async with running_pool("Fussy") as (arena, pool), held(arena, pool, tmp_path) as gate:
        good, bad, last = [await started(run_rows(arena, pool, value)) for value in (1, -2, 3)]
        gate.release()
        with pytest.raises(ShapeError, match="-2 is negative"):
            await bad
        assert await asyncio.gather(good, last) == [1, 1]


@in_loop
async def test_a_lost_worker_fails_each_part_and_the_key_runs_alone_afterwards(tmp_path):
    async with running_pool() as (arena, pool):
        async with held(arena, pool, tmp_path) as gate:
            doomed = [await started(run_rows(arena, pool, n, key="die:")) for n in range(3)]
            gate.release()
            for task in doomed:
                with pytest.raises(WorkerDiedError, match="while it computed this call"):
                    await task
        assert pool.restarts <= 1
        assert arena.bytes_in_use == 0
        await run_once(arena, pool)
        assert pool.restarts == 1
        async with held(arena, pool, tmp_path, "again") as gate:
            runs = [
                await started(run_rows(arena, pool, value, batch_key=key))
                for value in range(3)
                for key in ("rows", "others")
            ]
            gate.release()
            assert await asyncio.gather(*runs) == [1, 3] * 3


@in_loop
async def test_a_single_job_that_takes_its_worker_along_puts_no_suspicion_on_its_key(tmp_path):
    async with running_pool() as (arena, pool):
        with pytest.raises(WorkerDiedError):
            await run_rows(arena, pool, 1, key="die:")
        async with held(arena, pool, tmp_path) as gate:
            runs = [await started(run_rows(arena, pool, value)) for value in range(3)]
            gate.release()
            assert await asyncio.gather(*runs) == [3] * 3


@in_loop
async def test_one_that_gives_up_while_it_waits_is_not_in_the_batch(tmp_path):
    async with running_pool() as (arena, pool), held(arena, pool, tmp_path) as gate:
        first, second, third = [await started(run_rows(arena, pool, value)) for value in range(3)]
        in_use = arena.bytes_in_use
        await cancel(second)
        assert arena.bytes_in_use < in_use
        gate.release()
        assert await asyncio.gather(first, third) == [2, 2]


async def start_held_batch(arena, pool, directory, gate, count, **more):
    """Parts that compute together until the gate is opened."""
    async with held(arena, pool, directory, "before") as before:
        runs = [await started(run_rows(arena, pool, n, key=gate.key, **more)) for n in range(count)]
        before.release()
        await gate.reached()
    return runs


@in_loop
async def test_one_that_gives_up_in_mid_batch_leaves_the_others(tmp_path):
    async with running_pool(abandon_seconds=0.0) as (arena, pool):
        (pid,) = pool.pids
        with fifo(tmp_path) as gate:
            first, second, third = await start_held_batch(arena, pool, tmp_path, gate, 3)
            in_use = arena.bytes_in_use
            await cancel(second)
            assert arena.bytes_in_use == in_use  # the worker may still write there
            gate.release()
            assert await asyncio.gather(first, third) == [3, 3]
        assert pool.pids == (pid,)
        assert pool.restarts == 0


@in_loop
async def test_a_batch_that_everybody_has_given_up_is_ended(tmp_path):
    async with running_pool(abandon_seconds=0.0) as (arena, pool):
        (pid,) = pool.pids
        with fifo(tmp_path) as gate:
            freed = []
            runs = await start_held_batch(
                arena, pool, tmp_path, gate, 3, on_free=lambda: freed.append(is_alive(pid))
            )
            await cancel(*runs)
            assert await run_rows(arena, pool, 7) == 1
            assert freed == [False] * 3  # the child was gone by then


@in_loop
async def test_stopping_in_mid_batch_fails_every_part_and_frees_its_memory(tmp_path):
    async with running_pool() as (arena, pool):
        with fifo(tmp_path) as gate:
            runs = await start_held_batch(arena, pool, tmp_path, gate, 3)
            runs += [await started(run_rows(arena, pool, value)) for value in range(2)]
            await pool.stop()
            for result in await asyncio.gather(*runs, return_exceptions=True):
                assert isinstance(result, DrainingError)
        assert arena.bytes_in_use == 0


@in_loop
async def test_a_killed_worker_writes_nothing_into_memory_that_is_used_again(tmp_path):
    async with running_pool() as (arena, pool):
        with fifo(tmp_path) as gate:
            runs = await start_held_batch(arena, pool, tmp_path, gate, 2)
            job, region = new_rows(arena, [5.0])
            os.kill(pool.pids[0], signal.SIGKILL)
            for result in await asyncio.gather(*runs, return_exceptions=True):
                assert isinstance(result, WorkerDiedError)
            with region:
                assert np.isnan(output_of(job)).all()
                await pool.run(job)
                np.testing.assert_array_equal(output_of(job), [[6, 6, 6]])
