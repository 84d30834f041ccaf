"""Layers on features: fully connected, normalisation, flattening."""

from __future__ import annotations

import numpy as np
from convserve.layers import BatchNorm, Dense, Flatten
from convserve.tensors import Array, TensorSpec

from convserve_server.engines.integers import check_integer_bound
from convserve_server.engines.reference.accumulation import is_integer, widen
from convserve_server.engines.reference.conv import add_bias, per_channel


def dense(
    _: Dense, output: TensorSpec, x: Array, weight: Array, bias: Array | None = None
) -> Array:
    """`x` (N, F) with `weight` (K, F) and `bias` (K), to (N, K)."""
    if is_integer(output):
        field = f"tensors['{output.name}.weight']"
        check_integer_bound(x, weight, bias, output.dtype, summed_axes=(1,), field=field)
    return add_bias(widen(x, output) @ widen(weight, output).T, bias)


def batch_norm(
    layer: BatchNorm,
    output: TensorSpec,
    x: Array,
    weight: Array,
    bias: Array,
    running_mean: Array,
    running_var: Array,
) -> Array:
    """(x - running_mean) / sqrt(running_var + eps) * weight + bias, each of the four (C)."""
    x = widen(x, output)
    mean, variance, scale, offset = (
        per_channel(widen(vector, output), x.ndim)
        for vector in (running_mean, running_var, weight, bias)
    )
    return (x - mean) / np.sqrt(variance + layer.eps) * scale + offset


def flatten(_: Flatten, output: TensorSpec, x: Array) -> Array:
    """(N, C, *L) to (N, C * prod(L)), in C order."""
    return x.reshape(output.shape)
