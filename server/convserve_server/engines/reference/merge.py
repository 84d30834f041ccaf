"""Layers that join several inputs."""

from __future__ import annotations

import numpy as np
from convserve.layers import Add, Concat, Div, Mul, Sub
from convserve.tensors import Array, TensorSpec, dtype_of

from convserve_server.engines.reference.accumulation import widen


def add(_: Add, output: TensorSpec, *inputs: Array) -> Array:
    """The elementwise sum. Integers wrap around, as NumPy's do."""
    total = widen(inputs[0], output)
    for x in inputs[1:]:
        total = total + widen(x, output)
    return total


def mul(_: Mul, output: TensorSpec, *inputs: Array) -> Array:
    """The elementwise product. Integers wrap around, as NumPy's do."""
    product = widen(inputs[0], output)
    for x in inputs[1:]:
        product = product * widen(x, output)
    return product


def sub(_: Sub, output: TensorSpec, a: Array, b: Array) -> Array:
    """The elementwise difference. Integers wrap around, as NumPy's do."""
    return widen(a, output) - widen(b, output)


def div(_: Div, output: TensorSpec, a: Array, b: Array) -> Array:
    """The elementwise quotient."""
    return widen(a, output) / widen(b, output)


def concat(layer: Concat, output: TensorSpec, *inputs: Array) -> Array:
    """The inputs side by side along the axis."""
    dtype = dtype_of(output.dtype)
    return np.concatenate(inputs, axis=layer.axis, dtype=dtype, casting="unsafe")
