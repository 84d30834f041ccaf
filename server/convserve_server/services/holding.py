"""Work in threads on memory that its owner may give back meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from convserve_server.workers.memory import Owned

P = ParamSpec("P")
T = TypeVar("T")


async def work_on(
    memory: Iterable[Owned], work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """`work(...)` in a thread, which has the memory until it is done, cancelled or not."""
    held = list(memory)
    for each in held:
        each.hold()

    def end(_: asyncio.Future[T]) -> None:
        for each in held:
            each.drop()

    working = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    working.add_done_callback(end)
    return await asyncio.shield(working)
