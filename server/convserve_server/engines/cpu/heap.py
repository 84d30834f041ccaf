"""The C library's heap, told when to give memory back. It is that of the whole process (glibc)."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
# Blocks from here on are mapped one by one, and unmapped when they are freed ...
EXACT_BYTES = 128 << 10
# ... or kept for the next one below, as glibc itself does after it has freed one of that size.
KEPT_BYTES = 32 << 20


@contextmanager
def exact_heap() -> Iterator[None]:
    """Within the block, what is freed goes back to the system at once, and leaves no holes.

    For work that needs much once; otherwise its pages would have to be faulted in again each time.
    """
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_THRESHOLD, EXACT_BYTES)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_THRESHOLD, KEPT_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, 2 * KEPT_BYTES)


def trim_heap() -> None:
    """Give all that is free back to the system."""
    ctypes.CDLL(None).malloc_trim(0)
