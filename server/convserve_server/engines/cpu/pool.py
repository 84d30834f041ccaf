"""Max and average pooling in NumPy, for the element types that ONNX Runtime does not pool.

A window is a product of one range per axis, so each axis is reduced on its own: k1 + k2 passes
instead of k1 * k2. Samples are taken in runs whose intermediates stay in the caches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from convserve.layers import AvgPool, MaxPool
from convserve.layers.fields import Pairs
from convserve.tensors import Array

from convserve_server.engines.cpu.windows import RUN_BYTES, Axis, Geometry, conv_axes, pairs


def max_pool(layer: MaxPool, x: Array, out: Array) -> None:
    """Fill `out` (N, C, *L') with the maxima of `x` (N, C, *L); a NaN is above every number."""
    axes = _axes(layer, x, out)
    for part, place in _runs(x, out):
        place[...] = _reduce(part, axes, np.maximum, _lowest(x.dtype))


def avg_pool(layer: AvgPool, x: Array, out: Array) -> None:
    """Fill `out` (N, C, *L') with the means of `x` (N, C, *L), summed in float64 or complex128."""
    axes = _axes(layer, x, out)
    pads = pairs(layer.padding) if layer.count_include_pad else ((0, 0),) * len(axes)
    divisor = _window_sizes(axes, pads)
    wide = np.result_type(x.dtype, np.float64)
    for part, place in _runs(x, out):
        place[...] = _reduce(part.astype(wide, copy=False), axes, np.add, 0) / divisor


def _axes(layer: MaxPool | AvgPool, x: Array, out: Array) -> tuple[Axis, ...]:
    stride = layer.stride or layer.kernel_size
    geometry = Geometry(stride, pairs(layer.padding), layer.dilation, 1)
    return conv_axes(x.shape[2:], layer.kernel_size, geometry, out.shape[2:])


def _runs(x: Array, out: Array) -> list[tuple[Array, Array]]:
    """`x` and `out` in pieces over batch and channels."""
    size = max(1, math.prod(x.shape[2:]) * x.itemsize)
    step = max(1, RUN_BYTES // size)
    return [
        (x[n, c : c + step], out[n, c : c + step])
        for n in range(x.shape[0])
        for c in range(0, x.shape[1], step)
    ]


def _reduce(
    x: Array, axes: Sequence[Axis], combine: Callable[..., Array], identity: object
) -> Array:
    """Windows of `x` (C, *sizes) combined, one axis after the other."""
    for number, axis in enumerate(axes, start=1):
        shape = (*x.shape[:number], axis.positions, *x.shape[number + 1 :])
        reduced = np.full(shape, identity, x.dtype)
        _combine(np.moveaxis(x, number, 0), np.moveaxis(reduced, number, 0), axis, combine)
        x = reduced
    return x


def _combine(source: Array, target: Array, axis: Axis, combine: Callable[..., Array]) -> None:
    """Combine into `target` (positions, ...) what each tap reads of `source` (size, ...)."""
    for tap in range(axis.taps):
        low, high = axis.inside(tap, 0, axis.positions)
        if high > low:
            start = low * axis.stride + tap * axis.spacing + axis.offset
            stop = start + (high - low - 1) * axis.stride + 1
            part = target[low:high]
            combine(part, source[start : stop : axis.stride], out=part)


def _window_sizes(axes: Sequence[Axis], pads: Pairs) -> Array:
    """How many elements each window holds, of the input and `pads`: PyTorch's divisor."""
    total = np.ones((), np.int64)
    for axis, (low, high) in zip(axes, pads, strict=True):
        first = np.arange(axis.positions) * axis.stride + axis.offset
        places = first[:, None] + np.arange(axis.taps) * axis.spacing
        inside = (places >= -low) & (places < axis.size + high)
        total = np.multiply.outer(total, inside.sum(axis=1))
    return total


def _lowest(dtype: np.dtype[Any]) -> object:
    if dtype.kind in "iu":
        return np.iinfo(dtype).min
    return False if dtype.kind == "b" else -np.inf
