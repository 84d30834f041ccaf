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
    """`x` (N, ..., F) with `weight` (K, F) and `bias` (K), to (N, ..., K)."""
    if is_integer(output):
        field = f"tensors['{output.name}.weight']"
        check_integer_bound(x, weight, bias, output.dtype, summed_axes=(1,), field=field)
    y: Array = widen(x, output) @ widen(weight, output).T
    return y if bias is None else y + widen(bias, output)


def batch_norm(
    layer: BatchNorm,
    output: TensorSpec,
    x: Array,
    running_mean: Array,
    running_var: Array,
    weight: Array | None = None,
    bias: Array | None = None,
) -> Array:
    """(x - running_mean) / sqrt(running_var + eps) * weight + bias, each of the four (C)."""
    x = widen(x, output)
    mean, variance = (
        per_channel(widen(vector, output), x.ndim) for vector in (running_mean, running_var)
    )
    normal = (x - mean) / np.sqrt(variance + layer.eps)
    if weight is not None:
        normal = normal * per_channel(widen(weight, output), x.ndim)
    return add_bias(normal, bias)


def flatten(_: Flatten, output: TensorSpec, x: Array) -> Array:
    """(N, C, *L) to (N, C * prod(L)), in C order."""
    return x.reshape(output.shape)
