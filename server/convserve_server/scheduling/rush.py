"""Tasks that come at once are submitted at once, so that they can be one batch."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from convserve_server.scheduling.batching import Task

# Two calls within this time are of two callers: one that calls again and again needs longer.
RUSH_SECONDS = 3e-4
QUIET_TURNS = 6  # of the event loop, in which a call that has come reaches its handler


class Rush:
    """Gives tasks to `submit`: one that comes alone at once, those that come in a rush together.

    In a rush it waits for a few turns of the event loop without another task, but for no longer
    than `gather_seconds`.
    """

    def __init__(self, submit: Callable[[tuple[Task, ...]], None], gather_seconds: float) -> None:
        self._submit = submit
        self._gather_seconds = gather_seconds
        self._arrived: list[Task] = []
        self._last_arrival = -math.inf

    def add(self, task: Task) -> None:
        """A task has come."""
        now = _now()
        in_rush = now - self._last_arrival < RUSH_SECONDS
        self._last_arrival = now
        self._arrived.append(task)
        if not in_rush:
            self.end()
        elif len(self._arrived) == 1:
            self._turn(1, QUIET_TURNS, now + self._gather_seconds)

    def end(self) -> None:
        """Submit now what has come."""
        if self._arrived:
            tasks, self._arrived = tuple(self._arrived), []
            self._submit(tasks)

    def _turn(self, seen: int, left: int, until: float) -> None:
        """Gather on, for so many turns without another task, but not for longer than `until`."""
        arrived = len(self._arrived)
        left = left - 1 if arrived == seen else QUIET_TURNS
        if left < 0 or _now() >= until:
            self.end()
        elif arrived:
            asyncio.get_running_loop().call_soon(self._turn, arrived, left, until)


def _now() -> float:
    return asyncio.get_running_loop().time()
