"""Memory for tensors, shared by the front and its worker process: one sealed memfd.

It has no name and no file, so nothing is left behind after a kill, and it can neither shrink nor
grow, so no process can make another fault by cutting it short. Pages exist only once written.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from attrs import frozen
from convserve.tensors import TensorSpec

from convserve_server.workers.ranges import Ranges

ALIGNMENT = 64  # a cache line, and enough for every vector unit
WARM_BYTES = 256 << 20
SHRINK_BYTES = 32 << 20  # about 5 ms of the kernel's time


def aligned(byte_count: int) -> int:
    """`byte_count` rounded up to the next place where a tensor may start; at least one step."""
    return -(-max(byte_count, 1) // ALIGNMENT) * ALIGNMENT


def aligned_bytes(specs: Iterable[TensorSpec]) -> int:
    """The size in bytes of a region that holds tensors of all `specs`."""
    return sum(aligned(spec.byte_count) for spec in specs)


class NoRoomError(Exception):
    """No free piece of the arena is long enough at the moment."""


class Region:
    """Bytes of the arena that belong to one owner, who releases them.

    The memory is free again once the owner has released it and nobody holds it: `hold` and `drop`
    are for those who give the bytes to another process and cannot take them back at will.
    """

    def __init__(
        self, arena: Arena, offset: int, byte_count: int, on_free: Callable[[], None] | None
    ) -> None:
        self.offset = offset
        self.byte_count = byte_count
        self._arena = arena
        self._on_free = on_free
        self._holders = 1  # the owner
        self._released = False

    @property
    def is_free(self) -> bool:
        """Whether the memory has gone back to the arena."""
        return self._holders == 0

    def view(self, offset: int = 0, length: int | None = None) -> memoryview:
        """`length` writable bytes from `offset` on, counted from the region's start.

        Not to be touched once the region is free. Raises ValueError outside the region.
        """
        length = self.byte_count - offset if length is None else length
        if self.is_free or offset < 0 or length < 0 or offset + length > self.byte_count:
            raise ValueError(
                f"bytes {offset} to {offset + length} are not in a region of {self.byte_count} "
                f"bytes{' that is free' if self.is_free else ''}"
            )
        return self._arena.view(self.offset + offset, length)

    def hold(self) -> None:
        """Keep the memory from being freed until `drop`."""
        if self.is_free:
            raise ValueError(f"the region at {self.offset} is free: nothing is left to hold")
        self._holders += 1

    def drop(self) -> None:
        """End one `hold`."""
        self._holders -= 1
        if self._holders == 0:
            self._arena.free(self.offset, self.byte_count)
            if self._on_free is not None:
                self._on_free()

    def release(self) -> None:
        """Give the memory back, at once or when its last holder drops it. Idempotent."""
        if not self._released:
            self._released = True
            self.drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


@frozen(eq=False)
class Placement:
    """Where one tensor's bytes lie: `offset` is counted from the region's start."""

    spec: TensorSpec
    region: Region
    offset: int

    @property
    def address(self) -> int:
        """Where the tensor starts in the arena."""
        return self.region.offset + self.offset

    def view(self) -> memoryview:
        """The tensor's bytes, writable."""
        return self.region.view(self.offset, self.spec.byte_count)


def place(specs: Sequence[TensorSpec], region: Region, offset: int = 0) -> tuple[Placement, ...]:
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
    beyond back to the system. Not thread-safe: one event loop uses it.
    """

    def __init__(self, capacity_bytes: int, warm_bytes: int = WARM_BYTES) -> None:
        self.capacity_bytes = -(-max(capacity_bytes, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
        self.fd = _sealed_memory(self.capacity_bytes)
        self._mapping = mmap.mmap(self.fd, self.capacity_bytes)
        self._bytes = memoryview(self._mapping)
        self._warm_bytes = warm_bytes
        self._free = Ranges()
        self._free.add(0, self.capacity_bytes)
        self._warm = Ranges()  # free, but its pages may still be resident

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
        for start, end in reversed(self._warm):
            low, high = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, end & -mmap.PAGESIZE
            low = max(low, (high - wanted) & -mmap.PAGESIZE)
            if wanted and low < high:
                self._mapping.madvise(mmap.MADV_REMOVE, low, high - low)
                self._warm.remove(low, high)
                return high - low
        return 0

    def view(self, offset: int, length: int) -> memoryview:
        """Writable bytes at an offset of the arena. Regions check their bounds."""
        return self._bytes[offset : offset + length]

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


def _sealed_memory(byte_count: int) -> int:
    fd = os.memfd_create("convserve-tensors", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, byte_count)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return fd
