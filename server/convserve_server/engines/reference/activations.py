"""Activations: the formula, elementwise. A NaN stays one."""

from __future__ import annotations

import math

import numpy as np
from convserve.layers import (
    ELU,
    GELU,
    LeakyReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from convserve.tensors import Array, TensorSpec

from convserve_server.engines.reference.accumulation import widen

_erf = np.vectorize(math.erf, otypes=[np.float64])


def relu(_: ReLU, output: TensorSpec, x: Array) -> Array:
    """max(x, 0)."""
    y: Array = np.maximum(x, x.dtype.type(0))
    return y


def relu6(_: ReLU6, output: TensorSpec, x: Array) -> Array:
    """min(max(x, 0), 6)."""
    y: Array = np.minimum(np.maximum(x, x.dtype.type(0)), x.dtype.type(6))
    return y


def leaky_relu(layer: LeakyReLU, output: TensorSpec, x: Array) -> Array:
    """The value x where x >= 0, else negative_slope * x."""
    x = widen(x, output)
    return np.where(x >= 0, x, layer.negative_slope * x)


def gelu(_: GELU, output: TensorSpec, x: Array) -> Array:
    """Gaussian error linear unit: x * (1 + erf(x / sqrt(2))) / 2."""
    x = widen(x, output)
    y: Array = x * (1 + _erf(x / math.sqrt(2))) / 2
    return y


def sigmoid(_: Sigmoid, output: TensorSpec, x: Array) -> Array:
    """1 / (1 + exp(-x)); where exp overflows, the quotient is the right 0."""
    return 1 / (1 + np.exp(-widen(x, output)))


def silu(_: SiLU, output: TensorSpec, x: Array) -> Array:
    """Sigmoid linear unit: x * sigmoid(x)."""
    x = widen(x, output)
    y: Array = x / (1 + np.exp(-x))
    return y


def tanh(_: Tanh, output: TensorSpec, x: Array) -> Array:
    """Hyperbolic tangent."""
    return np.tanh(widen(x, output))


def elu(layer: ELU, output: TensorSpec, x: Array) -> Array:
    """The value x where x > 0, else alpha * (exp(x) - 1)."""
    x = widen(x, output)
    return np.where(x > 0, x, layer.alpha * np.expm1(x))


def softplus(layer: Softplus, output: TensorSpec, x: Array) -> Array:
    """log(1 + exp(beta * x)) / beta, without overflow."""
    return np.logaddexp(0, layer.beta * widen(x, output)) / layer.beta


def softmax(_: Softmax, output: TensorSpec, x: Array) -> Array:
    """exp(x) / sum(exp(x)) over axis 1, with the maximum taken off first."""
    x = widen(x, output)
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    y: Array = powers / powers.sum(axis=1, keepdims=True)
    return y
