"""Depthwise and depthwise-separable convolution."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import fields
from convserve.layers.conv import Convolution
from convserve.layers.fields import Ints, Layer, Padding


@frozen
class DepthwiseConv(Layer):
    """`Conv` with one group per input channel: (N, C, *L) to (N, C * depth_multiplier, *L').

    Output channel c reads input channel c // depth_multiplier.
    Weights: `weight` (C * depth_multiplier, 1, *kernel_size), `bias` (C * depth_multiplier).
    """

    kernel_size: Ints = field(converter=fields.as_ints, validator=fields.positive_ints)
    stride: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    padding: Padding = field(
        default=((0, 0),), converter=fields.as_padding, validator=fields.padding
    )
    dilation: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    depth_multiplier: int = field(default=1, converter=fields.as_int, validator=fields.positive)
    bias: bool = field(default=True, converter=fields.as_bool, validator=fields.boolean)
    padding_mode: str = field(default="zeros", kw_only=True, validator=fields.border_mode)


@frozen
class SeparableConv(Convolution):
    """`DepthwiseConv` without a bias, then a `Conv` of kernel size 1 over all channels.

    Reads (N, C, *L); gives (N, out_channels, *L').
    Weights: `depthwise_weight` (C * depth_multiplier, 1, *kernel_size), `pointwise_weight`
    (out_channels, C * depth_multiplier, 1...), `bias` (out_channels).
    """

    depth_multiplier: int = field(default=1, converter=fields.as_int, validator=fields.positive)
    bias: bool = field(default=True, converter=fields.as_bool, validator=fields.boolean)
    padding_mode: str = field(default="zeros", kw_only=True, validator=fields.border_mode)
