"""Windows as columns, and columns added into windows: one strided copy per tap, nothing beside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from convserve.layers import Fold, Unfold
from convserve.layers.fields import Ints
from convserve.tensors import Array

from convserve_server.engines.cpu.windows import Axis, Geometry, conv_axes, pairs
from convserve_server.engines.reference.unfold import window_counts

Index: TypeAlias = tuple[Any, ...]


def unfold(layer: Unfold, x: Array, out: Array) -> None:
    """Fill `out` (N, C * prod(kernel_size), windows) with the windows of `x` (N, C, *L)."""
    axes = _axes(layer, x.shape[2:])
    columns = _by_tap(out, x.shape[1], axes)
    for tap, windows, elements in _copies(axes):
        place: Index = (slice(None), slice(None), *tap)
        target = columns[place]
        target[...] = 0  # what lies in the padding stays so
        target[windows] = x[elements]


def fold(layer: Fold, x: Array, out: Array) -> None:
    """Fill `out` (N, C, *output_size) with the sums of the columns `x` (N, C * taps, windows).

    Halves are summed in float32, sample by sample, and rounded once.
    """
    axes = _axes(layer, layer.output_size)
    half = out.dtype.itemsize == 2 and out.dtype.kind not in "iu"
    columns = _by_tap(x, out.shape[1], axes)
    for sample, place in zip(columns, out, strict=True):
        total = np.empty(place.shape, np.float32) if half else place
        total[...] = 0
        for tap, windows, elements in _copies(axes):
            total[elements] += sample[(slice(None), *tap)][windows]
        if half:
            place[...] = total


def _axes(layer: Unfold | Fold, sizes: Ints) -> tuple[Axis, ...]:
    """The windows over what has `sizes`."""
    geometry = Geometry(layer.stride, pairs(layer.padding), layer.dilation, 1)
    return conv_axes(sizes, layer.kernel_size, geometry, window_counts(layer, sizes))


def _by_tap(columns: Array, channels: int, axes: Sequence[Axis]) -> Array:
    """(N, C * prod(taps), windows) as a view (N, C, *taps, *counts)."""
    taps, counts = (axis.taps for axis in axes), (axis.positions for axis in axes)
    return np.reshape(columns, (columns.shape[0], channels, *taps, *counts), copy=False)


def _copies(axes: Sequence[Axis]) -> Iterator[tuple[Ints, Index, Index]]:
    """Each tap, the windows in which it lies inside, and the elements that it reads there."""
    for tap in np.ndindex(*(axis.taps for axis in axes)):
        windows, elements = [], []
        for axis, number in zip(axes, tap, strict=True):
            low, high = axis.inside(number, 0, axis.positions)
            first = low * axis.stride + number * axis.spacing + axis.offset
            windows.append(slice(low, high))
            stop = first + (high - low - 1) * axis.stride + 1 if high > low else first
            elements.append(slice(first, stop, axis.stride))
        yield tap, (..., *windows), (..., *elements)
