"""Sets of byte ranges: what of some memory is free, and what of that is warm."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Ranges:
    """Disjoint half-open ranges [start, end) in order; those that touch are one."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.byte_count = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Each range, from low to high. Not to be changed meanwhile."""
        return zip(self._starts, self._ends, strict=True)

    def __reversed__(self) -> Iterator[tuple[int, int]]:
        return zip(reversed(self._starts), reversed(self._ends), strict=True)

    def add(self, start: int, end: int) -> None:
        """Put [start, end) in, whatever of it is in already."""
        first = bisect_left(self._ends, start)  # the first that ends at `start` or after it
        last = bisect_right(self._starts, end)  # one past the last that starts at `end` or before
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._replace(first, last, [(start, end)])

    def remove(self, start: int, end: int) -> None:
        """Take [start, end) out, whatever of it is in."""
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        if first >= last:
            return
        left = (self._starts[first], start)
        right = (end, self._ends[last - 1])
        self._replace(first, last, [rest for rest in (left, right) if rest[0] < rest[1]])

    def _replace(self, first: int, last: int, ranges: list[tuple[int, int]]) -> None:
        self.byte_count -= sum(self._ends[first:last]) - sum(self._starts[first:last])
        self.byte_count += sum(end - start for start, end in ranges)
        self._starts[first:last] = [start for start, _ in ranges]
        self._ends[first:last] = [end for _, end in ranges]
