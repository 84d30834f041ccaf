"""Convolutions in other words: depthwise, separable and sub-pixel."""

from __future__ import annotations

from convserve.layers import DepthwiseConv, PixelShuffle, SeparableConv, SubPixelConv
from convserve.tensors import Array, TensorSpec, dtype_name

from convserve_server.engines.reference.conv import conv
from convserve_server.engines.reference.rearrange import pixel_shuffle
from convserve_server.planning.equivalents import (
    before_shuffle,
    depthwise,
    partial_dtype,
    pointwise,
)


def depthwise_conv(
    layer: DepthwiseConv, output: TensorSpec, x: Array, weight: Array, bias: Array | None = None
) -> Array:
    """`x` (N, C, *L) with `weight` (C * m, 1, *kernel_size) and `bias` (C * m)."""
    return conv(depthwise(layer, x.shape[1]), output, x, weight, bias)


def separable_conv(
    layer: SeparableConv,
    output: TensorSpec,
    x: Array,
    depthwise_weight: Array,
    pointwise_weight: Array,
    bias: Array | None = None,
) -> Array:
    """Each channel with its own kernels, then all of them in a matrix; nothing is rounded between.

    `depthwise_weight` is (C * m, 1, *kernel_size), `pointwise_weight` (K, C * m, 1...).
    """
    dtype = partial_dtype([dtype_name(array.dtype) for array in (x, depthwise_weight)])
    shape = (output.shape[0], len(depthwise_weight), *output.shape[2:])
    middle = TensorSpec(output.name, dtype, shape)
    first, second = depthwise(layer, x.shape[1]), pointwise(layer, x.ndim - 2)
    y = conv(first, middle, x, depthwise_weight, role="depthwise_weight")
    return conv(second, output, y, pointwise_weight, bias, role="pointwise_weight")


def sub_pixel_conv(
    layer: SubPixelConv, output: TensorSpec, x: Array, weight: Array, bias: Array | None = None
) -> Array:
    """`x` (N, C, *L) with `weight` (K * r^n, C / groups, *kernel_size), then channels to space."""
    sizes = [size // layer.factor for size in output.shape[2:]]
    middle = TensorSpec(output.name, output.dtype, (output.shape[0], len(weight), *sizes))
    y = conv(before_shuffle(layer, x.ndim - 2), middle, x, weight, bias)
    return pixel_shuffle(PixelShuffle(layer.factor), output, y)
