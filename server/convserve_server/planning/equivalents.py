"""Kinds that are convolutions in other words: the `Conv` layers that they are made of.

Planning takes their shapes and counts from these, and engines their sums. A layer that is not
resolved gives a convolution that is not resolved either.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from convserve.layers import (
    Conv,
    DeformConv,
    DepthwiseConv,
    IntegerConv,
    QuantizedConv,
    SeparableConv,
    SubPixelConv,
    Unfold,
)

from convserve_server.planning.dtypes import accumulate

GroupedLayer: TypeAlias = DeformConv | IntegerConv | QuantizedConv


@lru_cache(maxsize=1024)  # every rule of a layer asks for it
def depthwise(layer: DepthwiseConv | SeparableConv, channels: int) -> Conv:
    """The depthwise convolution, or the first step of a separable one, which has no bias."""
    return Conv(
        channels * layer.depth_multiplier,
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        groups=channels,
        bias=isinstance(layer, DepthwiseConv) and layer.bias,
        padding_mode=layer.padding_mode,
    )


@lru_cache(maxsize=1024)
def pointwise(layer: SeparableConv, rank: int) -> Conv:
    """The second step of a separable convolution over `rank` spatial axes, resolved."""
    ones = (1,) * rank
    return Conv(layer.out_channels, ones, ones, ((0, 0),) * rank, ones, bias=layer.bias)


@lru_cache(maxsize=1024)
def before_shuffle(layer: SubPixelConv, rank: int) -> Conv:
    """The convolution of a sub-pixel convolution over `rank` spatial axes."""
    return Conv(
        layer.out_channels * layer.factor**rank,
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
        layer.bias,
        padding_mode=layer.padding_mode,
    )


@lru_cache(maxsize=1024)
def grouped(layer: GroupedLayer) -> Conv:
    """The convolution with the same numbers: without offsets, zero points and scales."""
    return Conv(
        layer.out_channels,
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
        bias=not isinstance(layer, IntegerConv) and layer.bias,
    )


@lru_cache(maxsize=1024)
def sliding(layer: Unfold) -> Conv:
    """A convolution with the same windows."""
    return Conv(1, layer.kernel_size, layer.stride, layer.padding, layer.dilation, bias=False)


def partial_dtype(dtypes: Sequence[str]) -> str:
    """The type of sums of products that are summed again: halves stay in float32."""
    dtype = accumulate(dtypes)
    return "float32" if dtype in ("float16", "bfloat16") else dtype
