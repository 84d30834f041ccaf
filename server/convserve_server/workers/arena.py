"""Memory for tensors, shared by the front and its worker process: one sealed memfd.

It has no name and no file, so nothing is left behind after a kill, and it can neither shrink nor
grow, so no process can make another fault by cutting it short. Pages exist only once written.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from attrs import frozen
from convserve.ranges import Ranges
from convserve.tensors import TensorSpec, aligned

from convserve_server.workers.memory import Owned, sealed_memory

WARM_BYTES = 256 << 20
SHRINK_BYTES = 32 << 20  # about 5 ms of the kernel's time


def aligned_bytes(specs: Iterable[TensorSpec]) -> int:
    """The size in bytes of a region that holds tensors of all `specs`."""
    return sum(aligned(spec.byte_count) for spec in specs)


class NoRoomError(Exception):
    """No free piece of the arena is long enough at the moment."""


class Region(Owned):
    """Bytes of the arena that belong to one owner, who releases them."""

    def __init__(
        self, arena: Arena, offset: int, byte_count: int, on_free: Callable[[], None] | None
    ) -> None:
        super().__init__(byte_count)
        self.offset = offset
        self._arena = arena
        self._on_free = on_free

    def view(self, offset: int = 0, length: int | None = None) -> memoryview:
        """`length` writable bytes from `offset` on, counted from the region's start."""
        length = self.byte_count - offset if length is None else length
        self._check_inside(offset, length)
        return self._arena.view(self.offset + offset, length)

    def _free(self) -> None:
        self._arena.free(self.offset, self.byte_count)
        if self._on_free is not None:
            self._on_free()


@frozen(eq=False)
class Placement:
    """Where one tensor's bytes lie: `offset` is counted from the region's start."""

    spec: TensorSpec
    region: Owned
    offset: int

    @property
    def address(self) -> int:
        """Where the tensor starts in the mapping that the region is part of."""
        return self.region.offset + self.offset

    def view(self) -> memoryview:
        """The tensor's bytes, writable."""
        return self.region.view(self.offset, self.spec.byte_count)


def place(specs: Sequence[TensorSpec], region: Owned, offset: int = 0) -> tuple[Placement, ...]:
    """Tensors one after the other in `region`, which has `aligned_bytes(specs)` from `offset` on.

    `offset` is a sum of aligned sizes.
    """
    placements = []
    for spec in specs:
        placements.append(Placement(spec, region, offset))
        offset += aligned(spec.byte_count)
    return tuple(placements)


class Arena:
    """`capacity_bytes` of shared memory (rounded up to whole pages), handed out in regions.

    Freed pages stay resident, ready for the next call, up to `warm_bytes`; `shrink` gives what is
    beyond back to the system. Of memory that a GPU has pinned none may be: that keeps all of it
    warm. Behind the tensors is one page of flags, by which the front tells workers what is no
    longer wanted. Not thread-safe: one event loop uses it.
    """

    def __init__(self, capacity_bytes: int, warm_bytes: int = WARM_BYTES) -> None:
        self.capacity_bytes = -(-max(capacity_bytes, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
        self.mapped_bytes = self.capacity_bytes + mmap.PAGESIZE
        self.fd = sealed_memory("convserve-tensors", self.mapped_bytes)
        self._mapping = mmap.mmap(self.fd, self.mapped_bytes)
        self._bytes = memoryview(self._mapping)
        self._warm_bytes = warm_bytes
        self._free = Ranges()
        self._free.add(0, self.capacity_bytes)
        self._warm = Ranges()  # free, but its pages may still be resident
        self._flags = list(range(self.capacity_bytes, self.mapped_bytes))

    @property
    def bytes_in_use(self) -> int:
        """Bytes of the regions that are not free."""
        return self.capacity_bytes - self._free.byte_count

    @property
    def excess_bytes(self) -> int:
        """Bytes that are free, may be resident, and are beyond what is kept warm."""
        return max(self._warm.byte_count - self._warm_bytes, 0)

    def allocate(
        self,
        byte_count: int,
        *,
        lasting: bool = False,
        on_free: Callable[[], None] | None = None,
    ) -> Region:
        """The lowest free piece of `byte_count` bytes, or the highest one for a `lasting` region.

        `on_free` is called when the memory has gone back. Raises NoRoomError.
        """
        size = aligned(byte_count)
        ranges = reversed(self._free) if lasting else iter(self._free)
        for start, end in ranges:
            if end - start >= size:
                offset = end - size if lasting else start
                self._free.remove(offset, offset + size)
                self._warm.remove(offset, offset + size)
                return Region(self, offset, byte_count, on_free)
        raise NoRoomError(
            f"no free piece of {size} bytes: {self._free.byte_count} of {self.capacity_bytes} "
            "bytes are free in all"
        )

    def free(self, offset: int, byte_count: int) -> None:
        """Take back the bytes of a region. Only regions call this."""
        end = offset + aligned(byte_count)
        self._free.add(offset, end)
        self._warm.add(offset, end)

    def shrink(self, limit_bytes: int = SHRINK_BYTES) -> int:
        """Give back up to `limit_bytes` of the excess, from the far end; returns how many it was.

        The kernel takes about 0.15 ms per MiB, so do it step by step, until it returns 0.
        """
        wanted = min(self.excess_bytes, limit_bytes)
        if not wanted:
            return 0
        for start, end in reversed(self._warm):
            low, high = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, end & -mmap.PAGESIZE
            low = max(low, (high - wanted) & -mmap.PAGESIZE)
            if low < high:
                self._mapping.madvise(mmap.MADV_REMOVE, low, high - low)
                self._warm.remove(low, high)
                return high - low
        return 0

    def view(self, offset: int, length: int) -> memoryview:
        """Writable bytes at an offset of the arena. Regions check their bounds."""
        return self._bytes[offset : offset + length]

    def take_flag(self) -> int:
        """The address of a flag that is 0, for a job that a worker is given.

        There are 4096, far more than jobs that all workers have at a time: a few each.
        """
        address = self._flags.pop()
        self._bytes[address] = 0
        return address

    def raise_flag(self, address: int) -> None:
        """Set a flag to 1: the job is no longer wanted."""
        self._bytes[address] = 1

    def give_flag(self, address: int) -> None:
        """Take a flag back: no worker reads it for that job any more."""
        self._flags.append(address)

    def close(self) -> None:
        """Close the memory. What still views it keeps only the mapping alive. Idempotent."""
        if self.fd < 0:
            return
        os.close(self.fd)
        self.fd = -1
        self._warm = Ranges()
        self._bytes.release()
        with suppress(BufferError):
            self._mapping.close()
