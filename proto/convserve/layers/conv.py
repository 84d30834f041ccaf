"""Convolution."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import fields
from convserve.layers.fields import Ints, Layer, Padding


@frozen
class Convolution(Layer):
    """What convolutions to a given number of channels share."""

    out_channels: int = field(converter=fields.as_int, validator=fields.positive)
    kernel_size: Ints = field(converter=fields.as_ints, validator=fields.positive_ints)
    stride: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    padding: Padding = field(
        default=((0, 0),), converter=fields.as_padding, validator=fields.padding
    )
    dilation: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)


@frozen
class GroupedConvolution(Convolution):
    """What those of them share whose channels may be in groups."""

    groups: int = field(default=1, converter=fields.as_int, validator=fields.positive)


@frozen
class Conv(GroupedConvolution):
    """Convolution (cross-correlation) over one, two or three spatial axes.

    Reads (N, C, *L); gives (N, out_channels, *L') with, per axis,
    L' = floor((L + low + high - e) / stride) + 1 and e = dilation * (kernel_size - 1) + 1.
    Weights: `weight` (out_channels, C / groups, *kernel_size), `bias` (out_channels).
    """

    bias: bool = field(default=True, converter=fields.as_bool, validator=fields.boolean)
    padding_mode: str = field(default="zeros", kw_only=True, validator=fields.border_mode)
