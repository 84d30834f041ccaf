"""One round of calls: how long all of them took together, and each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

Round = dict[str, Any]  # `seconds` in all, `times` of each call in seconds, `answers` of each


def run_threads(call: Callable[[], Any], threads: int, count: int) -> Round:
    """`count` calls by so many threads."""

    def repeat(count: int) -> list[tuple[float, Any]]:
        return [_timed(call) for _ in range(count)]

    start = perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        done = [each for part in pool.map(repeat, _shares(count, threads)) for each in part]
    return _round(done, perf_counter() - start)


async def run_tasks(call: Callable[[], Awaitable[Any]], tasks: int, count: int) -> Round:
    """`count` calls by so many tasks of this loop."""

    async def repeat(count: int) -> list[tuple[float, Any]]:
        done = []
        for _ in range(count):
            start = perf_counter()
            answer = await call()
            done.append((perf_counter() - start, answer))
        return done

    start = perf_counter()
    parts = await asyncio.gather(*map(repeat, _shares(count, tasks)))
    return _round([each for part in parts for each in part], perf_counter() - start)


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    return _timed(work)[0]


def percentile(values: list[float], percent: float) -> float:
    """The value that so many percent are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = perf_counter()
    answer = call()
    return perf_counter() - start, answer


def _shares(count: int, parts: int) -> list[int]:
    return [count // parts + (part < count % parts) for part in range(parts)]


def _round(done: list[tuple[float, Any]], seconds: float) -> Round:
    return {
        "seconds": seconds,
        "times": [time for time, _ in done],
        "answers": [answer for _, answer in done],
    }
