"""Where maxima are, and values put back there."""

from __future__ import annotations

import math

import numpy as np
from convserve.layers import MaxPoolIndices, MaxUnpool
from convserve.layers.fields import Ints
from convserve.tensors import Array, TensorSpec

from convserve_server.engines.indices import check_index_range
from convserve_server.engines.reference.pool import padding_reached, strides
from convserve_server.engines.reference.windows import pad_spatial, taps


def max_pool_indices(layer: MaxPoolIndices, output: TensorSpec, x: Array) -> Array:
    """The index of the first largest element of each window; -1 where all of it is padding."""
    positions = output.shape[2:]
    padding = padding_reached(layer, x.shape[2:], positions)
    values = pad_spatial(x, padding)
    numbers = pad_spatial(_numbers(layer, x.shape)[None], padding, value=-1)[0]
    best = np.zeros(output.shape, x.dtype)
    found = np.full(output.shape, -1, np.int64)
    for _, window in taps(layer.kernel_size, strides(layer), layer.dilation, positions):
        value, number = values[window], numbers[window]
        higher = (value > best) | (np.isnan(value) & ~np.isnan(best))
        better = (number >= 0) & ((found < 0) | higher)
        best, found = np.where(better, value, best), np.where(better, number, found)
    return found


def max_unpool(layer: MaxUnpool, output: TensorSpec, x: Array, indices: Array) -> Array:
    """Each value in the place that its index names, zeros elsewhere; the last of several stays.

    Raises InvalidArgumentError for an index outside the plane, or the sample.
    """
    kept = 2 if layer.scope == "plane" else 1  # axes that the index does not count
    size = math.prod(output.shape[kept:])
    check_index_range(indices, size, output.name)
    rows, count = math.prod(x.shape[:kept]), math.prod(x.shape[kept:])
    y = np.zeros((rows, size), x.dtype)
    y[np.arange(rows)[:, None], indices.reshape(rows, count)] = x.reshape(rows, count)
    return y.reshape(output.shape)


def _numbers(layer: MaxPoolIndices, shape: Ints) -> Array:
    """The index of each element of one sample (C, *L), as the layer counts."""
    channels, *sizes = shape[1:]
    if layer.column_major:
        plane = np.arange(math.prod(sizes), dtype=np.int64).reshape(sizes[::-1]).T
    else:
        plane = np.arange(math.prod(sizes), dtype=np.int64).reshape(sizes)
    first = np.arange(channels, dtype=np.int64) * (plane.size if layer.scope == "sample" else 0)
    numbers: Array = first.reshape(-1, *[1] * len(sizes)) + plane
    return numbers
