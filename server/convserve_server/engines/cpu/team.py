"""Threads that share blocks of work, and a BLAS that leaves the threads to them.

OpenBLAS's own threads wait for each other by spinning: with another process on the machine, a
product of 3 ms took 48. Blocks that each thread copies and multiplies alone were also a little
faster on an idle machine (2.7 ms), for the copies run in parallel too.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

T = TypeVar("T")
R = TypeVar("R")

_SETTERS = ("scipy_openblas_set_num_threads64_", "openblas_set_num_threads64_")


class Team:
    """`threads` threads, the caller's among them. The others end with the team."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._others = ThreadPoolExecutor(max(1, threads - 1), "convserve-blocks")

    def share(self, work: Callable[[Sequence[T]], R], items: Sequence[T]) -> list[R]:
        """Call `work` once per thread, each with its share of `items`; the results in order.

        The shares are fixed, so that sums come out the same every time.
        """
        shares = [items[i :: self.threads] for i in range(min(self.threads, len(items)))]
        futures = [self._others.submit(work, share) for share in shares[1:]]
        first = [work(share) for share in shares[:1]]
        return first + [future.result() for future in futures]


def use_one_blas_thread() -> None:
    """Tell the OpenBLAS inside NumPy's wheels to start no threads; another BLAS stays as it is."""
    for path in (Path(np.__file__).parent.parent / "numpy.libs").glob("*openblas*"):
        library = ctypes.CDLL(str(path))
        for name in _SETTERS:
            if hasattr(library, name):
                getattr(library, name)(1)
