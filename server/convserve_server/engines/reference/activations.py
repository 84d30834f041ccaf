"""Activations: the formula, elementwise. A NaN stays one."""

from __future__ import annotations

import math

import numpy as np
from convserve.layers import (
    ELU,
    GELU,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Mish,
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
from convserve_server.engines.reference.elementwise import erf_of


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
    y: Array = x * (1 + erf_of(x / math.sqrt(2))) / 2
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


def hard_sigmoid(layer: HardSigmoid, output: TensorSpec, x: Array) -> Array:
    """min(max(alpha * x + beta, 0), 1)."""
    y: Array = np.clip(layer.alpha * widen(x, output) + layer.beta, 0, 1)
    return y


def hard_swish(_: HardSwish, output: TensorSpec, x: Array) -> Array:
    """The value x * min(max(x / 6 + 0.5, 0), 1)."""
    x = widen(x, output)
    y: Array = x * np.clip(x / 6 + 0.5, 0, 1)
    return y


def mish(_: Mish, output: TensorSpec, x: Array) -> Array:
    """The value x * tanh(log(1 + exp(x))), without overflow."""
    x = widen(x, output)
    y: Array = x * np.tanh(np.logaddexp(0, x))
    return y


def softmax(layer: Softmax, output: TensorSpec, x: Array) -> Array:
    """exp(x) / sum(exp(x)) along the axis, with the maximum taken off first."""
    x = widen(x, output)
    powers = np.exp(x - x.max(axis=layer.axis, keepdims=True))
    y: Array = powers / powers.sum(axis=layer.axis, keepdims=True)
    return y
