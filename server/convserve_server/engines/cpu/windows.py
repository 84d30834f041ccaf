"""Which input elements a convolution reads, and how its positions are cut into blocks.

Pure arithmetic: planning prices the blocks with it, and `columns.py` fills them.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence

from attrs import frozen
from convserve.layers import Conv, ConvTranspose
from convserve.layers.fields import Ints, Padding, Pairs
from convserve.operations import ConvInputGradient, ConvWeightGradient

# A thread's columns. Measured for float64 64x56x56 with 64 filters of 3x3, two threads, 1 MiB of L2
# each: 5.5 ms with 1 MiB, 2.7 with 3.4 MiB, 2.7 with 6.9 MiB. BLAS wants wide matrices, and the
# columns should stay in L3. Below the least, starting a thread costs more than it saves.
BLOCK_BYTES = 4 << 20
LEAST_BLOCK_BYTES = 256 << 10
PATCH_TAPS = 64  # from here on, one copy of a zero-padded patch beats a copy per tap
PATCH_RATIO = 4  # of a patch to its columns, at most
RUN_BYTES = 1 << 20  # of the channels that are pooled together


@frozen
class Axis:
    """One axis of windows: position p and tap t read element p * stride + t * spacing + offset.

    What lies outside [0, size) reads as zero.
    """

    size: int
    positions: int
    taps: int = 1
    stride: int = 1
    spacing: int = 1
    offset: int = 0

    def inside(self, tap: int, first: int, count: int) -> tuple[int, int]:
        """Which of `count` positions from `first` on read an element with `tap`: [low, high)."""
        base = first * self.stride + tap * self.spacing + self.offset
        low = min(count, max(0, -(base // self.stride)))
        high = max(low, min(count, -((base - self.size) // self.stride)))
        return low, high

    def extent(self, count: int) -> int:
        """How many elements lie between the first and the last that `count` positions read."""
        return (count - 1) * self.stride + (self.taps - 1) * self.spacing + 1

    def fits(self, first: int, count: int) -> bool:
        """Whether `count` positions from `first` on read no zero with any tap."""
        low = first * self.stride + self.offset
        return low >= 0 and low + self.extent(count) <= self.size


@frozen
class Geometry:
    """The numbers of a resolved convolution, one per spatial axis."""

    stride: Ints
    padding: Pairs
    dilation: Ints
    groups: int

    @classmethod
    def of(cls, spec: Conv | ConvTranspose | ConvInputGradient | ConvWeightGradient) -> Geometry:
        """Those of a layer or a gradient."""
        return cls(spec.stride, pairs(spec.padding), spec.dilation, spec.groups)


def pairs(padding: Padding) -> Pairs:
    """The padding of a resolved step, which is always numbers."""
    assert not isinstance(padding, str)
    return padding


Block = tuple[tuple[int, int], ...]  # (first, count) per axis


def block_counts(positions: Ints, position_bytes: int, threads: int) -> Ints:
    """The positions per axis of one block: at least one, and a block for every thread if it pays.

    Trailing axes are taken whole first, so that a block is one run of positions in C order.
    """
    share = math.prod(positions) * position_bytes // threads
    limit = max(LEAST_BLOCK_BYTES, min(BLOCK_BYTES, share))
    room = max(1, limit // max(1, position_bytes))
    counts: list[int] = []
    for size in reversed(positions):
        counts.append(max(1, min(size, room)))
        room //= max(1, size)
    return tuple(reversed(counts))


def blocks(positions: Ints, counts: Ints) -> list[Block]:
    """All positions, in blocks of `counts` or less."""
    ranges = [range(0, size, count) for size, count in zip(positions, counts, strict=True)]
    return [
        tuple(
            (first, min(count, size - first))
            for first, count, size in zip(firsts, counts, positions, strict=True)
        )
        for firsts in itertools.product(*ranges)
    ]


def reads_patch(axes: Sequence[Axis], counts: Sequence[int]) -> bool:
    """Whether a block at the border is read from a copy with zeros around, not tap by tap.

    Many taps would be many small copies; wide strides would make the copy larger than the columns.
    """
    taps = math.prod(axis.taps for axis in axes)
    extents = math.prod(axis.extent(count) for axis, count in zip(axes, counts, strict=True))
    return taps > PATCH_TAPS and extents <= PATCH_RATIO * taps * math.prod(counts)


def conv_axes(sizes: Ints, taps: Ints, geometry: Geometry, positions: Ints) -> tuple[Axis, ...]:
    """The spatial axes of a convolution over an input of `sizes`."""
    numbers = zip(geometry.stride, geometry.dilation, geometry.padding, strict=True)
    return tuple(
        Axis(size, count, tap, stride, spacing, -low)
        for size, count, tap, (stride, spacing, (low, _)) in zip(
            sizes, positions, taps, numbers, strict=True
        )
    )


@frozen
class Phase:
    """The output positions first, first + stride, ... of one axis of a transposed convolution.

    They read the taps in `taps` only (in the order of the windows), as a convolution of stride 1.
    """

    first: int
    taps: tuple[int, ...]
    axis: Axis


def transposed_phases(
    size: int, output_size: int, kernel_size: int, stride: int, low: int, dilation: int
) -> tuple[Phase, ...]:
    """One axis of a transposed convolution as interleaved convolutions of stride 1.

    Output o is the sum of x[i] * w[t] with i * stride + t * dilation = o + low. For the outputs
    o = first + q * stride, that holds for every `stride / gcd(stride, dilation)`-th tap. Outputs
    that no tap reaches have no phase.
    """
    step = stride // math.gcd(stride, dilation)
    starts = {(t * dilation - low) % stride: t for t in range(min(step, kernel_size))}
    phases = []
    for first, start in sorted(starts.items()):
        if first < output_size:
            taps = tuple(range(start, kernel_size, step))[::-1]
            offset = (first + low - taps[0] * dilation) // stride
            positions = -((first - output_size) // stride)
            axis = Axis(size, positions, len(taps), 1, dilation * step // stride, offset)
            phases.append(Phase(first, taps, axis))
    return tuple(phases)


def available_threads() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def is_pointwise(layer: Conv | ConvTranspose) -> bool:
    """Whether every output element reads one position only, the same one."""
    ones = all(k == s == 1 for k, s in zip(layer.kernel_size, layer.stride, strict=True))
    extra = isinstance(layer, ConvTranspose) and any(layer.output_padding)
    return ones and not extra and all(pair == (0, 0) for pair in pairs(layer.padding))
