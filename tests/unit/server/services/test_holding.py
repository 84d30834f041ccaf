"""Work on memory that its owner gives back meanwhile."""

import asyncio
import contextlib
import threading

import pytest
from convserve_server.services.holding import work_on
from convserve_server.workers.arena import Arena


def test_memory_stays_until_the_work_is_done():
    async def whole():
        with contextlib.closing(Arena(4096)) as arena:
            freed = asyncio.Event()
            region = arena.allocate(64, on_free=freed.set)
            begun, may_end = threading.Event(), threading.Event()

            def work(view):
                begun.set()
                may_end.wait()
                view[:] = bytes(64)
                return len(view)

            task = asyncio.create_task(work_on([region], work, region.view()))
            await asyncio.to_thread(begun.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            region.release()
            assert arena.bytes_in_use == 64
            may_end.set()
            await freed.wait()
            assert arena.bytes_in_use == 0

    asyncio.run(whole())


def test_what_the_work_gives_and_raises():
    async def whole():
        assert await work_on([], divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await work_on([], divmod, 7, 0)

    asyncio.run(whole())
