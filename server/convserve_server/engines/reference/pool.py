"""Pooling: one pass over the taps of the window."""

from __future__ import annotations

import math
from functools import reduce
from typing import TypeAlias

import numpy as np
from convserve.layers import (
    AvgPool,
    GlobalAvgPool,
    GlobalLpPool,
    GlobalMaxPool,
    LpPool,
    MaxPool,
)
from convserve.layers.fields import Ints, Pairs
from convserve.layers.pool import WindowPool
from convserve.tensors import Array, TensorSpec

from convserve_server.engines.reference.accumulation import widen
from convserve_server.engines.reference.windows import pad_spatial, pairs, taps

Pool: TypeAlias = WindowPool | AvgPool


def max_pool(layer: MaxPool, output: TensorSpec, x: Array) -> Array:
    """The largest of each window; a NaN wins, padding never does."""
    positions = output.shape[2:]
    lowest = _lowest(x)
    padding = padding_reached(layer, x.shape[2:], positions)
    padded = pad_spatial(x, padding, value=lowest)
    y = np.full(output.shape, lowest, x.dtype)
    for _, window in taps(layer.kernel_size, strides(layer), layer.dilation, positions):
        np.maximum(y, padded[window], out=y)
    return y


def avg_pool(layer: AvgPool, output: TensorSpec, x: Array) -> Array:
    """The mean of each window."""
    total = _window_sums(layer, output, widen(x, output))
    return total / divisors(layer, x.shape[2:], output.shape[2:])


def lp_pool(layer: LpPool, output: TensorSpec, x: Array) -> Array:
    """The p-norm of each window."""
    total = _window_sums(layer, output, np.abs(widen(x, output)) ** layer.p)
    norm: Array = total ** (1 / layer.p)
    return norm


def global_avg_pool(_: GlobalAvgPool, output: TensorSpec, x: Array) -> Array:
    """The mean over all spatial axes, which stay with size 1."""
    spatial = tuple(range(2, x.ndim))
    mean: Array = widen(x, output).sum(axis=spatial, keepdims=True) / math.prod(x.shape[2:])
    return mean


def global_lp_pool(layer: GlobalLpPool, output: TensorSpec, x: Array) -> Array:
    """The p-norm over all spatial axes, which stay with size 1."""
    powers = np.abs(widen(x, output)) ** layer.p
    norm: Array = powers.sum(axis=tuple(range(2, x.ndim)), keepdims=True) ** (1 / layer.p)
    return norm


def global_max_pool(_: GlobalMaxPool, output: TensorSpec, x: Array) -> Array:
    """The maximum over all spatial axes, which stay with size 1; a NaN wins."""
    largest: Array = x.max(axis=tuple(range(2, x.ndim)), keepdims=True)
    return largest


def divisors(layer: AvgPool, sizes: Ints, positions: Ints) -> Array:
    """How many elements each window's mean counts, of shape `positions`.

    With `count_include_pad` a window is cut at the end of the padding, else at the input's ends; so
    what lies beyond the padding, where only `ceil_mode` reaches, never counts. PyTorch's rule.
    """
    counts = []
    for k, s, d, (low, high), size, n in zip(
        layer.kernel_size,
        strides(layer),
        layer.dilation,
        pairs(layer.padding),
        sizes,
        positions,
        strict=True,
    ):
        first, end = (-low, size + high) if layer.count_include_pad else (0, size)
        places = np.arange(n)[:, None] * s - low + np.arange(k) * d
        counts.append(((places >= first) & (places < end)).sum(axis=1))
    return reduce(np.multiply.outer, counts)


def strides(layer: Pool) -> Ints:
    """The step between windows, per axis."""
    assert layer.stride is not None  # a resolved layer states it
    return layer.stride


def padding_reached(layer: Pool, sizes: Ints, positions: Ints) -> Pairs:
    """The padding, with as much more at the end as the last window of `ceil_mode` reaches."""
    reach = []
    for k, s, d, (low, high), size, n in zip(
        layer.kernel_size,
        strides(layer),
        layer.dilation,
        pairs(layer.padding),
        sizes,
        positions,
        strict=True,
    ):
        end = (n - 1) * s + d * (k - 1) + 1
        reach.append((low, max(high, end - low - size)))
    return tuple(reach)


def _window_sums(layer: AvgPool | LpPool, output: TensorSpec, x: Array) -> Array:
    """The sum of each window of `x`; padding is zero."""
    positions = output.shape[2:]
    padded = pad_spatial(x, padding_reached(layer, x.shape[2:], positions))
    total = np.zeros(output.shape, padded.dtype)
    for _, window in taps(layer.kernel_size, strides(layer), layer.dilation, positions):
        total += padded[window]
    return total


def _lowest(x: Array) -> float:
    """What never wins a maximum against an element of `x`."""
    return int(np.iinfo(x.dtype).min) if x.dtype.kind in "iu" else -np.inf
