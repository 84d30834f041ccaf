"""Transposed convolution."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import fields
from convserve.layers.fields import Ints, Layer, Padding


@frozen
class ConvTranspose(Layer):
    """Transposed convolution, the adjoint of `Conv` with the same numbers.

    Reads (N, C, *L); gives (N, out_channels, *L') with, per axis,
    L' = (L - 1) * stride - low - high + e + output_padding with
    e = dilation * (kernel_size - 1) + 1; L' = L * stride for the `same` modes. `output_size` asks
    for L' instead of `output_padding`.
    Weights: `weight` (C, out_channels / groups, *kernel_size), `bias` (out_channels).
    """

    out_channels: int = field(converter=fields.as_int, validator=fields.positive)
    kernel_size: Ints = field(converter=fields.as_ints, validator=fields.positive_ints)
    stride: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    padding: Padding = field(
        default=((0, 0),), converter=fields.as_padding, validator=fields.transposed_padding
    )
    output_padding: Ints = field(
        default=(0,), converter=fields.as_ints, validator=fields.non_negative_ints
    )
    dilation: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    groups: int = field(default=1, converter=fields.as_int, validator=fields.positive)
    bias: bool = field(default=True, converter=fields.as_bool, validator=fields.boolean)
    output_size: Ints | None = field(
        default=None, converter=fields.as_optional_ints, validator=fields.positive_ints
    )
