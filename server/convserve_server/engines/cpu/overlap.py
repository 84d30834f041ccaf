"""Long signals by FFTs of blocks: overlap-save, in blocks that stay in a core's cache.

Each output block of n - m + 1 samples is the end of a circular convolution of n samples with the m
taps (Oppenheim and Schafer, Discrete-Time Signal Processing, 8.7.3). Blocks are transformed several
at a time: pocketfft computes them side by side in vector registers. Measured, 2^20 samples and 4096
taps in float32, one thread: 5.2 ms with four blocks of 32768 at a time, 11 ms one at a time, 14 ms
by scipy.signal.oaconvolve.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.fft
from convserve.tensors import Array

from convserve_server.engines.cpu.blocks import block_length, group_size
from convserve_server.engines.cpu.team import Team


def overlap_save(long: Array, short: Array, start: int, out: Array, team: Team) -> None:
    """Fill `out` with the full convolution of two signals from position `start` on.

    All of it lies within the len(long) + len(short) - 1 positions there are. The signals have one
    floating type.
    """
    block = block_length(len(short), len(out))
    step = block - len(short) + 1
    is_complex = long.dtype.kind == "c"
    forward, back = (
        (scipy.fft.fft, scipy.fft.ifft) if is_complex else (scipy.fft.rfft, scipy.fft.irfft)
    )
    spectrum = forward(short, block)
    firsts = range(0, len(out), step)
    size = group_size(block)

    def convolve(groups: Sequence[Sequence[int]]) -> None:
        rows = np.empty((size, block), long.dtype)
        for group in groups:
            for row, first in zip(rows, group, strict=False):
                _copy_around(long, start + first - len(short) + 1, row)
            product = forward(rows[: len(group)], axis=1)
            product *= spectrum
            results = back(product, block, axis=1, overwrite_x=True)
            for row, first in zip(results, group, strict=True):
                place = out[first : first + step]
                place[...] = row[len(short) - 1 :][: len(place)]

    team.share(convolve, [firsts[at : at + size] for at in range(0, len(firsts), size)])


def _copy_around(source: Array, first: int, row: Array) -> None:
    """Fill `row` with the source from `first` on, and zeros beyond its ends."""
    low, high = max(first, 0), min(first + len(row), len(source))
    row[: low - first] = 0
    row[max(high - first, 0) :] = 0
    row[low - first : max(high, low) - first] = source[low : max(high, low)]
