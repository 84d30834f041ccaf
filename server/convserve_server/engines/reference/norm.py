"""Normalisation by the input's own statistics: the formulas."""

from __future__ import annotations

import numpy as np
from convserve.layers import GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm, Scale
from convserve.tensors import Array, TensorSpec

from convserve_server.engines.reference.accumulation import widen
from convserve_server.engines.reference.conv import add_bias, per_channel, split_channels


def local_response_norm(layer: LocalResponseNorm, output: TensorSpec, x: Array) -> Array:
    """Each x / (k + alpha / size * sum(x^2))^beta, the sum over neighbouring channels."""
    x = widen(x, output)
    squares, total, channels = x * x, np.zeros_like(x), x.shape[1]
    before, after = layer.window
    for shift in range(-min(before, channels - 1), min(after, channels - 1) + 1):
        low, high = max(0, -shift), min(channels, channels - shift)
        total[:, low:high] += squares[:, low + shift : high + shift]
    y: Array = x / (layer.k + layer.alpha / layer.size * total) ** layer.beta
    return y


def layer_norm(
    layer: LayerNorm,
    output: TensorSpec,
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
) -> Array:
    """Over the last `axes` axes; `weight` and `bias` have their shape."""
    y = _normalise(widen(x, output), layer.axes, layer.eps)
    if weight is None or bias is None:
        return y
    return y * widen(weight, output) + widen(bias, output)


def group_norm(
    layer: GroupNorm,
    output: TensorSpec,
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
) -> Array:
    """Over each group of channels with all positions; `weight` and `bias` are (C)."""
    parts = split_channels(widen(x, output), layer.groups)
    y = _normalise(parts, parts.ndim - 2, layer.eps)
    return _scale(y.reshape(x.shape), weight, bias)


def instance_norm(
    layer: InstanceNorm,
    output: TensorSpec,
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
) -> Array:
    """Over the positions of each channel; `weight` and `bias` are (C)."""
    return _scale(_normalise(widen(x, output), x.ndim - 2, layer.eps), weight, bias)


def scale(
    layer: Scale, output: TensorSpec, x: Array, weight: Array, bias: Array | None = None
) -> Array:
    """`x` times `weight` plus `bias`, both along one axis."""
    x = np.moveaxis(widen(x, output), layer.axis, 1)
    return np.moveaxis(_scale(x, weight, bias), 1, layer.axis)


def _normalise(x: Array, axes: int, eps: float) -> Array:
    """Mean 0 and variance 1 over the last `axes` axes."""
    last = tuple(range(x.ndim - axes, x.ndim))
    centred = x - x.mean(axis=last, keepdims=True)
    variance = (centred * centred).mean(axis=last, keepdims=True)
    y: Array = centred / np.sqrt(variance + eps)
    return y


def _scale(x: Array, weight: Array | None, bias: Array | None) -> Array:
    if weight is not None:
        x = x * per_channel(weight.astype(x.dtype, copy=False), x.ndim)
    return add_bias(x, bias)
