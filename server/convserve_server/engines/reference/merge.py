"""Layers that join several inputs."""

from __future__ import annotations

import numpy as np
from convserve.layers import Add, Concat
from convserve.tensors import Array, TensorSpec, dtype_of

from convserve_server.engines.reference.accumulation import widen


def add(_: Add, output: TensorSpec, *inputs: Array) -> Array:
    """The elementwise sum of equal shapes. Integers wrap around, as NumPy's do."""
    total = widen(inputs[0], output)
    for x in inputs[1:]:
        total = total + widen(x, output)
    return total


def concat(_: Concat, output: TensorSpec, *inputs: Array) -> Array:
    """The inputs side by side along the channels."""
    return np.concatenate(inputs, axis=1, dtype=dtype_of(output.dtype), casting="unsafe")
