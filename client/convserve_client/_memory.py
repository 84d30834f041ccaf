"""Memory that the server shares with this process, and what of it is free."""

from __future__ import annotations

import mmap
import os
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import TypeAlias

import numpy as np
from convserve.ranges import Ranges
from convserve.tensors import ALIGNMENT, Array, TensorSpec, aligned, array_over

Span: TypeAlias = tuple[int, int]  # bytes from the first to before the second


class SharedMemory:
    """The memory of one lease, which `end` gives back to the server.

    Arrays in it stay valid whatever becomes of the lease: they keep the mapping. Any number of
    threads may use it. A process that was forked off gets no room in it: the room is its parent's.
    """

    def __init__(self, lease_id: str, mapping: mmap.mmap, end: Callable[[], object]) -> None:
        self.lease_id = lease_id
        self.byte_count = len(mapping)
        self.is_open = True
        self._mapping = mapping
        self._address = _address(np.frombuffer(mapping, np.uint8))
        self._end = end
        self._owner = os.getpid()
        self._lock = Lock()
        self._free = Ranges()
        self._free.add(0, self.byte_count)
        # An array may end in any thread, at any time, even while the lock is held: appending to a
        # deque needs none.
        self._returned: deque[Span] = deque()

    def allocate(self, sizes: Sequence[int]) -> list[Span] | None:
        """Room for each of so many bytes, or None if there is not room for all of them.

        It is the lowest that is free: its pages are the likeliest to be warm.
        """
        if not self.is_open or os.getpid() != self._owner:
            return None
        spans: list[Span] = []
        with self._lock:
            while self._returned:
                self._free.add(*self._returned.popleft())
            for size in map(aligned, sizes):
                start = self._first_fit(size)
                if start is None:
                    self._returned.extend(spans)
                    return None
                self._free.remove(start, start + size)
                spans.append((start, start + size))
        return spans

    def _first_fit(self, size: int) -> int | None:
        return next((start for start, end in self._free if end - start >= size), None)

    def free(self, spans: Iterable[Span]) -> None:
        """Give room back that nobody uses any more."""
        self._returned.extend(spans)

    def offset_of(self, array: Array) -> int | None:
        """Where an array's values lie, if that is here and as they would be sent."""
        flags = array.flags
        if flags.owndata or not flags.c_contiguous or not array.dtype.isnative:
            return None
        offset = _address(array) - self._address
        inside = 0 <= offset <= self.byte_count - array.nbytes
        return offset if inside and offset % ALIGNMENT == 0 else None

    def array(self, spec: TensorSpec, offset: int) -> Array:
        """The tensor at a place."""
        return array_over(memoryview(self._mapping)[offset:], spec)

    def result(self, spec: TensorSpec, offset: int) -> Array:
        """The tensor at a place. Its room is free once nobody has it, or a view of it, any more."""
        root: Array = np.frombuffer(self._mapping, np.uint8, spec.byte_count, offset)
        span = (offset, offset + aligned(spec.byte_count))
        weakref.finalize(root, self._returned.append, span).atexit = False
        return array_over(root.data, spec)

    def close(self) -> None:
        """Give the lease back. Safe to repeat, and from any thread."""
        self.is_open = False
        if os.getpid() == self._owner:
            self._end()


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])
