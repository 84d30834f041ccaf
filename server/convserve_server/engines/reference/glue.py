"""Other orders of axes, other shapes, parts of an axis, reductions. Axis 0 is the batch."""

from __future__ import annotations

import math

import numpy as np
from convserve.layers import Permute, ReduceMax, ReduceMean, ReduceSum, Reshape, Slice
from convserve.tensors import Array, TensorSpec

from convserve_server.engines.reference.accumulation import widen


def permute(layer: Permute, output: TensorSpec, x: Array) -> Array:
    """The axes after the batch in another order."""
    return x.transpose(0, *layer.order)


def reshape(layer: Reshape, output: TensorSpec, x: Array) -> Array:
    """The same elements, in C order."""
    return x.reshape(x.shape[0], *layer.shape)


def slice_axis(layer: Slice, output: TensorSpec, x: Array) -> Array:
    """Every step-th element of a part of one axis."""
    part = (slice(None),) * layer.axis
    return x[*part, slice(layer.start, layer.stop, layer.step)]


def reduce_mean(layer: ReduceMean, output: TensorSpec, x: Array) -> Array:
    """The mean over the axes."""
    count = math.prod(x.shape[axis] for axis in layer.axes)
    mean: Array = widen(x, output).sum(axis=layer.axes, keepdims=layer.keepdims) / count
    return mean


def reduce_max(layer: ReduceMax, output: TensorSpec, x: Array) -> Array:
    """The largest along the axes; a NaN wins."""
    return np.asarray(x.max(axis=layer.axes, keepdims=layer.keepdims))


def reduce_sum(layer: ReduceSum, output: TensorSpec, x: Array) -> Array:
    """The sum over the axes. Integers wrap around in 64 bits, as NumPy's do."""
    return np.asarray(widen(x, output).sum(axis=layer.axes, keepdims=layer.keepdims))
