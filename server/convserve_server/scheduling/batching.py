"""Tasks, and which of them may be computed together: the tasks of one key form a line.

The beginning of a line makes a batch, and its first task leads it. A line that hopes for more tasks
is held until it is due.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Hashable
from functools import partial
from operator import itemgetter
from typing import TypeAlias

import attrs
from attrs import frozen

NEWEST_SHARE = 1 / 8  # what the newest counts in a mean
BATCH_SECONDS = 0.05  # a batch that takes longer saves nothing more, and others wait for it
PACES = 3

Place: TypeAlias = tuple[int, int, int]  # (-priority, number of arrival, task id): sorts as a queue
Alarm: TypeAlias = tuple[float, int]  # (time, task id)


@attrs.define
class Task:
    """Work whose tensors are in memory.

    Tasks of equal `key` may be computed as one batch; None runs alone. `byte_count` is of its
    inputs and results, which a batch copies; `working_bytes` is what it takes in a worker while
    it runs. `deadline` is on the clock of the events.
    """

    id: int
    key: Hashable | None
    rows: int
    byte_count: int
    working_bytes: int
    priority: int = 0
    deadline: float = math.inf

    @property
    def batch_rows(self) -> int:
        """What it takes of a batch's rows: an empty task counts, so that rows bound the tasks."""
        return max(self.rows, 1)


@frozen
class BatchLimits:
    """What a batch may hold, and how long its first task waits for others."""

    rows: int
    byte_count: int
    working_bytes: int
    wait_seconds: float


@attrs.define(eq=False)
class Line:
    """The tasks of one key: those that wait, and how many run.

    `around` is the mean number of others of the key that an arriving task meets, `paces` are the
    seconds per row of its last jobs.
    """

    key: Hashable
    places: list[Place] = attrs.field(factory=list)
    rows: int = 0
    byte_count: int = 0
    working_bytes: int = 0
    running: int = 0
    around: float = 0.0
    paces: deque[float] = attrs.field(factory=partial(deque, maxlen=PACES))
    target: int = 1
    due: float = math.inf
    suspect_until: float = -math.inf
    leader: Place | None = None  # its place among the leaders
    alarm: Alarm | None = None  # its place among the held

    def add(self, task: Task, place: Place) -> None:
        """A task waits at that place."""
        insort(self.places, place)
        self._count(task, 1)

    def remove(self, task: Task, place: Place) -> None:
        """A task does not wait any more."""
        del self.places[bisect_left(self.places, place)]
        self._count(task, -1)

    def oldest(self) -> int:
        """The id of who came first; it is the first of its priority."""
        firsts, index = [], 0
        while index < len(self.places):
            firsts.append(self.places[index])
            index = bisect_left(self.places, (self.places[index][0] + 1, 0, 0))
        return min(firsts, key=itemgetter(1))[2]

    def learn(self) -> None:
        """Another task arrives: see how many are around, and how many are worth waiting for.

        Half of those around compute while the other half gather. So two callers in turn are never
        held up, and neither is anybody who finds himself alone.
        """
        others = len(self.places) + self.running
        self.around += (others - self.around) * NEWEST_SHARE
        self.target = max(1, int(self.around / 2 + 0.5)) if others else 1

    def learn_pace(self, seconds: float, rows: int) -> None:
        """A job of so many rows took so long."""
        self.paces.append(seconds / rows)

    def most_rows(self, limits: BatchLimits) -> int:
        """The rows of a batch at most, so that it takes about BATCH_SECONDS; one has more alone.

        The best pace of late counts: a first job, or one that was held up, tells nothing.
        """
        if len(self.paces) < PACES or min(self.paces) * limits.rows <= BATCH_SECONDS:
            return limits.rows
        return max(1, int(BATCH_SECONDS / min(self.paces)))

    def is_alone(self, now: float) -> bool:
        """Whether its tasks must run one by one: a batch of them was lost with its worker."""
        return now < self.suspect_until

    def is_full(self, limits: BatchLimits) -> bool:
        """Whether the batch at its beginning cannot grow."""
        return (
            self.rows >= self.most_rows(limits)
            or self.byte_count >= limits.byte_count
            or self.working_bytes >= limits.working_bytes
        )

    def is_ready(self, limits: BatchLimits, now: float) -> bool:
        """Whether waiting for more tasks is over."""
        return (
            len(self.places) >= self.target
            or self.due <= now
            or self.is_full(limits)
            or self.is_alone(now)
        )

    def _count(self, task: Task, sign: int) -> None:
        self.rows += sign * task.batch_rows
        self.byte_count += sign * task.byte_count
        self.working_bytes += sign * task.working_bytes
