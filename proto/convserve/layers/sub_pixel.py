"""Sub-pixel convolution."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import fields
from convserve.layers.fields import Ints, Layer, Padding


@frozen
class SubPixelConv(Layer):
    """`Conv` to out_channels * r^n channels, then `PixelShuffle` by r = factor over n axes.

    Reads (N, C, *L); gives (N, out_channels, *(L' * r)) with L' as for `Conv`.
    Weights: `weight` (out_channels * r^n, C / groups, *kernel_size), `bias` (out_channels * r^n).
    Shi et al. 2016, arXiv:1609.05158.
    """

    out_channels: int = field(converter=fields.as_int, validator=fields.positive)
    kernel_size: Ints = field(converter=fields.as_ints, validator=fields.positive_ints)
    factor: int = field(converter=fields.as_int, validator=fields.positive)
    stride: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    padding: Padding = field(
        default=((0, 0),), converter=fields.as_padding, validator=fields.padding
    )
    dilation: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    groups: int = field(default=1, converter=fields.as_int, validator=fields.positive)
    bias: bool = field(default=True, converter=fields.as_bool, validator=fields.boolean)
    padding_mode: str = field(default="zeros", kw_only=True, validator=fields.border_mode)
