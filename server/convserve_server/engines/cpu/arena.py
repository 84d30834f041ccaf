"""How much memory ONNX Runtime's arena takes from the system for allocations that come and go.

It asks for a region of just the size that fits nowhere, gives out the smallest free piece that
fits and cuts off what is left, and joins free neighbours; regions are kept. So what a run leaves
behind follows from the order of its allocations (onnxruntime/core/framework/bfc_arena.cc).
"""

from __future__ import annotations

from bisect import bisect_left, insort

ALIGNMENT = 256


class Arena:
    """An arena with regions, without their memory."""

    def __init__(self) -> None:
        self.byte_count = 0  # of all regions
        self._free: list[tuple[int, int]] = []  # (size, start), sorted
        self._starts: dict[int, int] = {}  # of free pieces: their sizes
        self._ends: dict[int, int] = {}  # of free pieces: their starts
        self._used: dict[str, tuple[int, int]] = {}

    def allocate(self, name: str, size: int) -> None:
        """Give `name` a piece of at least `size` bytes."""
        size = max(ALIGNMENT, -(-size // ALIGNMENT) * ALIGNMENT)
        index = bisect_left(self._free, (size, 0))
        if index < len(self._free):
            found, start = self._take(*self._free[index])
        else:
            found, start = size, 2 * self.byte_count + 1  # odd gaps: regions are no neighbours
            self.byte_count += size
        if found > size:
            self._put(found - size, start + size)
        self._used[name] = (size, start)

    def release(self, name: str) -> None:
        """Take back what `name` has, and join it with what is free beside it."""
        size, start = self._used.pop(name)
        if start + size in self._starts:
            after, _ = self._take(self._starts[start + size], start + size)
            size += after
        if start in self._ends:
            before = self._ends[start]
            size += start - before
            self._take(start - before, before)
            start = before
        self._put(size, start)

    def _put(self, size: int, start: int) -> None:
        insort(self._free, (size, start))
        self._starts[start] = size
        self._ends[start + size] = start

    def _take(self, size: int, start: int) -> tuple[int, int]:
        del self._free[bisect_left(self._free, (size, start))]
        del self._starts[start]
        del self._ends[start + size]
        return size, start
