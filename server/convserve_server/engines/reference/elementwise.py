"""Elementwise functions that are no activations by name. What has no value is NaN."""

from __future__ import annotations

import math

import numpy as np
from convserve.layers import Abs, Clip, Erf, Exp, Log, Power, PReLU, Rescale, Sqrt
from convserve.tensors import Array, TensorSpec

from convserve_server.engines.reference.accumulation import widen
from convserve_server.engines.reference.conv import per_channel

erf_of = np.vectorize(math.erf, otypes=[np.float64])


def prelu(_: PReLU, output: TensorSpec, x: Array, weight: Array) -> Array:
    """The value x where x >= 0, else weight * x, per channel."""
    x = widen(x, output)
    return np.where(x >= 0, x, per_channel(widen(weight, output), x.ndim) * x)


def clip(layer: Clip, output: TensorSpec, x: Array) -> Array:
    """min(max(x, low), high)."""
    if layer.low is not None:
        x = np.maximum(x, x.dtype.type(layer.low))
    if layer.high is not None:
        x = np.minimum(x, x.dtype.type(layer.high))
    return x


def exp(_: Exp, output: TensorSpec, x: Array) -> Array:
    """e^x."""
    return np.exp(widen(x, output))


def sqrt(_: Sqrt, output: TensorSpec, x: Array) -> Array:
    """The square root."""
    return np.sqrt(widen(x, output))


def power(layer: Power, output: TensorSpec, x: Array) -> Array:
    """The value x to the power of the exponent."""
    return np.power(widen(x, output), layer.exponent)


def absolute(_: Abs, output: TensorSpec, x: Array) -> Array:
    """The absolute value. The least integer of a type has none there and stays."""
    return np.abs(widen(x, output))


def log(_: Log, output: TensorSpec, x: Array) -> Array:
    """The natural logarithm."""
    return np.log(widen(x, output))


def erf(_: Erf, output: TensorSpec, x: Array) -> Array:
    """The error function."""
    y: Array = erf_of(widen(x, output))
    return y


def rescale(layer: Rescale, output: TensorSpec, x: Array) -> Array:
    """The value x * factor + offset."""
    return widen(x, output) * layer.factor + layer.offset
