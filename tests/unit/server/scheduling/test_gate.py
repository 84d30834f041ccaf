import asyncio
import mmap
import os
from contextlib import contextmanager

import pytest
from convserve.errors import OverloadedError, TooLargeError
from convserve_server.scheduling.gate import Gate
from convserve_server.workers.arena import Arena

PAGE = mmap.PAGESIZE


@contextmanager
def new_gate(pages=4, queue_limit=8, warm_bytes=1 << 20):
    """A gate before a new arena; afterwards everything has been given back."""
    arena = Arena(pages * PAGE, warm_bytes)
    gate = Gate(arena, queue_limit=queue_limit)
    yield arena, gate
    assert (gate.queue_depth, arena.bytes_in_use) == (0, 0)
    arena.close()


async def started(coroutine):
    """A task that has come to its first wait."""
    task = asyncio.create_task(coroutine)
    await asyncio.wait((task,), timeout=0)
    return task


def test_a_region_is_handed_out_at_once_and_counted_until_released():
    async def scenario():
        with new_gate() as (arena, gate):
            with await gate.reserve(100) as region:
                assert (region.byte_count, arena.bytes_in_use) == (100, 128)
            assert arena.bytes_in_use == 0

    asyncio.run(scenario())


def test_a_release_wakes_the_next():
    async def scenario():
        with new_gate() as (_, gate):
            first = await gate.reserve(3 * PAGE)
            second = await started(gate.reserve(2 * PAGE))
            third = await started(gate.reserve(PAGE))
            assert (gate.queue_depth, second.done(), third.done()) == (2, False, False)
            first.release()
            for region in await asyncio.gather(second, third):
                region.release()

    asyncio.run(scenario())


def test_memory_that_a_job_still_holds_is_not_handed_out():
    async def scenario():
        with new_gate() as (_, gate):
            first = await gate.reserve(4 * PAGE)
            first.hold()
            first.release()
            second = await started(gate.reserve(PAGE))
            assert not second.done()
            first.drop()
            (await second).release()

    asyncio.run(scenario())


def test_a_call_waits_for_one_piece_and_those_behind_wait_too():
    async def scenario():
        with new_gate() as (_, gate):
            regions = [await gate.reserve(PAGE) for _ in range(4)]
            regions[0].release()
            regions[2].release()
            long = await started(gate.reserve(2 * PAGE))
            short = await started(gate.reserve(PAGE))
            assert (gate.queue_depth, long.done(), short.done()) == (2, False, False)
            regions[1].release()
            for region in [*await asyncio.gather(long, short), regions[3]]:
                region.release()

    asyncio.run(scenario())


def test_lasting_regions_do_not_break_up_the_room():
    async def scenario():
        with new_gate() as (_, gate):
            call = await gate.reserve(PAGE)
            model = await gate.reserve(PAGE, lasting=True)
            call.release()
            (await gate.reserve(3 * PAGE)).release()
            model.release()

    asyncio.run(scenario())


def test_refusals_reach_the_caller():
    async def scenario():
        with new_gate(queue_limit=0) as (_, gate):
            with pytest.raises(TooLargeError, match=f"server has {4 * PAGE} in all"):
                await gate.reserve(5 * PAGE)
            with await gate.reserve(4 * PAGE), pytest.raises(OverloadedError):
                await gate.reserve(1)

    asyncio.run(scenario())


def test_cancelling_the_wait_leaves_nothing():
    async def scenario():
        with new_gate() as (_, gate):
            first = await gate.reserve(4 * PAGE)
            waiting = await started(gate.reserve(PAGE))
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert gate.queue_depth == 0
            first.release()

    asyncio.run(scenario())


@pytest.mark.parametrize("cancelled_first", [True, False])
def test_cancelling_at_the_moment_of_admission_leaves_nothing(cancelled_first):
    async def scenario():
        with new_gate() as (_, gate):
            first = await gate.reserve(4 * PAGE)
            waiting = await started(gate.reserve(PAGE))
            for step in (waiting.cancel, first.release)[:: 1 if cancelled_first else -1]:
                step()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    asyncio.run(scenario())


def test_freed_memory_goes_back_to_the_system():
    async def scenario():
        with new_gate(warm_bytes=PAGE) as (arena, gate):
            with await gate.reserve(4 * PAGE) as region:
                region.view()[:] = b"\1" * (4 * PAGE)
            shrunk = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(shrunk.set_result, None)  # after the gate's step
            await shrunk
            assert os.fstat(arena.fd).st_blocks * 512 == PAGE

    asyncio.run(scenario())
