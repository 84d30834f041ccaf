"""The waiting tasks: their order, who may start a job now, and who waits a moment for company.

Every task has a place, and places sort as the queue does: higher priority first, then first come
first served. A line that may go is among the leaders, with the place of its first task; so is every
task without a key. A line that waits for company is among the held.

All of these are lists kept in order by bisection. What that moves in memory costs less than a tree
would, as long as a queue has thousands of tasks and not millions.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import TypeVar

import attrs

from convserve_server.scheduling.batching import Alarm, BatchLimits, Line, Place, Task

KEYS_REMEMBERED = 1024  # of which no task is around
T = TypeVar("T", Place, Alarm)


@attrs.define(eq=False)
class Waiting:
    """A task in the queue, since when, and how many went before it while it lacked memory."""

    task: Task
    place: Place
    since: float
    line: Line | None
    passes: int = 0


class Queue:
    """The waiting tasks. Nobody is held for company while more than `room` wait."""

    def __init__(self, limits: BatchLimits, room: int) -> None:
        self._limits = limits
        self._room = room
        self._arrivals = 0
        self._waiting: dict[int, Waiting] = {}
        self._places: list[Place] = []  # of all
        self._leaders: list[Place] = []
        self._held: list[Alarm] = []
        self._deadlines: list[Alarm] = []
        self._lines: dict[Hashable, Line] = {}  # of keys of which a task waits or runs
        self._idle: OrderedDict[Hashable, Line] = OrderedDict()  # what was learnt about others

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, task_id: int) -> bool:
        return task_id in self._waiting

    def __getitem__(self, task_id: int) -> Waiting:
        return self._waiting[task_id]

    def __iter__(self) -> Iterator[int]:
        """The ids of all, in their order."""
        return (place[2] for place in self._places)

    @property
    def last(self) -> Waiting:
        """Who came last of those with the lowest priority."""
        return self._waiting[self._places[-1][2]]

    @property
    def next_due(self) -> float:
        """When the first of the held lines is due; infinite if there is none."""
        return self._held[0][0] if self._held else math.inf

    @property
    def next_deadline(self) -> float:
        """The earliest deadline; infinite if there is none."""
        return self._deadlines[0][0] if self._deadlines else math.inf

    def leaders(self, limit: int) -> list[Waiting]:
        """The first of those who may start a job now."""
        return [self._waiting[place[2]] for place in self._leaders[:limit]]

    def add(self, task: Task, now: float) -> None:
        """A task arrives."""
        self._arrivals += 1
        place = (-task.priority, self._arrivals, task.id)
        line = None if task.key is None else self._line(task.key)
        self._waiting[task.id] = Waiting(task, place, now, line)
        insort(self._places, place)
        if task.deadline < math.inf:
            insort(self._deadlines, (task.deadline, task.id))
        if line is None:
            insort(self._leaders, place)
        else:
            self._join(line, task, place, now)

    def remove(self, waiting: Waiting, now: float) -> None:
        """A task goes without being started."""
        self._remove(waiting)
        if waiting.line is not None:
            self._set_due(waiting.line)
            self._settle(waiting.line, now)
            self._rest(waiting.line)

    def take_batch(self, leader: Waiting, free_bytes: int, now: float) -> list[Waiting]:
        """Take the leader's batch out of the queue: it runs until `leave` says otherwise.

        The leader always goes, with as many behind it in its line as fit the limits and the memory.
        """
        batch = self._batch(leader, free_bytes, now)
        for waiting in batch:
            self._remove(waiting)
        line = leader.line
        if line is not None:
            line.running += len(batch)
            self._set_due(line)
            self._settle(line, now)
        return batch

    def leave(self, line: Line, count: int) -> None:
        """So many of the line's tasks do not run any more."""
        line.running -= count
        self._rest(line)

    def suspect(self, line: Line, until: float, now: float) -> None:
        """Let the line's tasks run one by one until then."""
        line.suspect_until = until
        self._settle(line, now)

    def can_grow(self, leader: Waiting, now: float) -> bool:
        """Whether a task that comes later could join the leader's batch."""
        line = leader.line
        return line is not None and not line.is_full(self._limits) and not line.is_alone(now)

    def pop_expired(self, now: float) -> Waiting:
        """Remove who has the earliest deadline."""
        waiting = self._waiting[self._deadlines[0][1]]
        self.remove(waiting, now)
        return waiting

    def end_waits(self, now: float, *, in_vain: bool) -> None:
        """Let lines go that are due; `in_vain` if only hope held them: expect as few next time."""
        while self._held and self._held[0][0] <= now:
            line = self._waiting[self._held[0][1]].line
            assert line is not None  # only lines are held
            if in_vain:
                line.around = min(line.around, len(line.places))
            self._settle(line, now)

    def _line(self, key: Hashable) -> Line:
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = self._idle.pop(key) if key in self._idle else Line(key)
        return line

    def _join(self, line: Line, task: Task, place: Place, now: float) -> None:
        line.learn()
        if not line.places:  # else it is due earlier
            line.due = now + self._limits.wait_seconds
        line.add(task, place)
        self._settle(line, now)

    def _remove(self, waiting: Waiting) -> None:
        task, place, line = waiting.task, waiting.place, waiting.line
        del self._waiting[task.id]
        _discard(self._places, place)
        if task.deadline < math.inf:
            _discard(self._deadlines, (task.deadline, task.id))
        if line is None:
            _discard(self._leaders, place)
        else:
            line.remove(task, place)

    def _set_due(self, line: Line) -> None:
        if line.places:
            line.due = self._waiting[line.oldest()].since + self._limits.wait_seconds

    def _settle(self, line: Line, now: float) -> None:
        """Put the line among the leaders, the held or neither."""
        first = line.places[0] if line.places else None
        is_crowded = len(self._waiting) > self._room
        is_ready = first is not None and (is_crowded or line.is_ready(self._limits, now))
        leader = first if is_ready else None
        alarm = (line.due, first[2]) if first is not None and not is_ready else None
        line.leader = _exchange(self._leaders, line.leader, leader)
        line.alarm = _exchange(self._held, line.alarm, alarm)

    def _rest(self, line: Line) -> None:
        """Keep what was learnt about a line in which nothing is left, for a while."""
        if line.running or line.places:
            return
        self._idle[line.key] = self._lines.pop(line.key)
        if len(self._idle) > KEYS_REMEMBERED:
            self._idle.popitem(last=False)

    def _batch(self, leader: Waiting, free_bytes: int, now: float) -> list[Waiting]:
        line = leader.line
        batch = [leader]
        if line is None or line.is_alone(now):
            return batch
        task = leader.task
        rows = line.most_rows(self._limits) - task.batch_rows
        byte_count = self._limits.byte_count - task.byte_count
        free_bytes -= task.working_bytes
        for place in line.places[1:]:
            task = self._waiting[place[2]].task
            rows -= task.batch_rows
            byte_count -= task.byte_count
            free_bytes -= task.working_bytes
            if min(rows, byte_count, free_bytes) < 0:
                break
            batch.append(self._waiting[task.id])
        return batch


def _discard(places: list[T], place: T) -> None:
    del places[bisect_left(places, place)]


def _exchange(places: list[T], old: T | None, new: T | None) -> T | None:
    if old != new:
        if old is not None:
            _discard(places, old)
        if new is not None:
            insort(places, new)
    return new
