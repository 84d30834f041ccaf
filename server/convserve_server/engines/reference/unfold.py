"""Windows as columns, and columns added into windows: one pass per tap."""

from __future__ import annotations

import numpy as np
from convserve.layers import Fold, Unfold
from convserve.layers.fields import Ints, Pairs
from convserve.tensors import Array, TensorSpec

from convserve_server.engines.reference.accumulation import widen
from convserve_server.engines.reference.windows import pad_spatial, pairs, taps


def unfold(layer: Unfold, output: TensorSpec, x: Array) -> Array:
    """(N, C, *L) to (N, C * prod(kernel_size), windows)."""
    padded = pad_spatial(x, pairs(layer.padding))
    counts = window_counts(layer, x.shape[2:])
    y = np.empty((*x.shape[:2], *layer.kernel_size, *counts), x.dtype)
    for tap, window in taps(layer.kernel_size, layer.stride, layer.dilation, counts):
        places = (slice(None),) * len(counts)
        y[(*tap, *places)] = padded[window]
    return y.reshape(output.shape)


def fold(layer: Fold, output: TensorSpec, x: Array) -> Array:
    """(N, C * prod(kernel_size), windows) to (N, C, *output_size). Integers wrap around."""
    counts = window_counts(layer, layer.output_size)
    columns = widen(x, output).reshape(*output.shape[:2], *layer.kernel_size, *counts)
    padding = pairs(layer.padding)
    sizes = zip(padding, layer.output_size, strict=True)
    y = np.zeros((*output.shape[:2], *(low + n + high for (low, high), n in sizes)), columns.dtype)
    for tap, window in taps(layer.kernel_size, layer.stride, layer.dilation, counts):
        places = (slice(None),) * len(counts)
        y[window] += columns[(*tap, *places)]
    return y[_inside(padding, layer.output_size)]


def window_counts(layer: Unfold | Fold, sizes: Ints) -> Ints:
    """How many windows lie along each axis of `sizes`."""
    numbers = zip(
        sizes, layer.kernel_size, layer.stride, pairs(layer.padding), layer.dilation, strict=True
    )
    return tuple((n + low + high - d * (k - 1) - 1) // s + 1 for n, k, s, (low, high), d in numbers)


def _inside(padding: Pairs, sizes: Ints) -> tuple[slice, ...]:
    ends = zip(padding, sizes, strict=True)
    return (slice(None), slice(None), *(slice(low, low + size) for (low, _), size in ends))
