"""Convolution of 8-bit integers and of quantized numbers."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import fields
from convserve.layers.fields import Ints, Layer, Padding


@frozen
class IntegerConv(Layer):
    """Convolution of int8 or uint8 into int32, as ONNX's ConvInteger.

    (x - input_zero_point) is convolved with (weight - weight_zero_point); padding counts as the
    input's zero point. Shapes as for `Conv`.
    Weights: `weight` (out_channels, C / groups, *kernel_size), `input_zero_point` (1),
    `weight_zero_point` (out_channels).
    """

    out_channels: int = field(converter=fields.as_int, validator=fields.positive)
    kernel_size: Ints = field(converter=fields.as_ints, validator=fields.positive_ints)
    stride: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    padding: Padding = field(
        default=((0, 0),), converter=fields.as_padding, validator=fields.padding
    )
    dilation: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    groups: int = field(default=1, converter=fields.as_int, validator=fields.positive)


@frozen
class QuantizedConv(Layer):
    """Convolution of quantized numbers into quantized numbers, as ONNX's QLinearConv.

    A number is scale * (q - zero_point). The result is that of `IntegerConv`, plus `bias`, times
    input_scale * weight_scale / output_scale, rounded half to even, plus output_zero_point, cut to
    the range of its type, which is that of `output_zero_point`. Shapes as for `Conv`.
    Weights: `weight` (out_channels, C / groups, *kernel_size), `bias` (out_channels) of int32,
    `input_scale` (1), `input_zero_point` (1), `weight_scale` (out_channels), `weight_zero_point`
    (out_channels), `output_scale` (1), `output_zero_point` (1).
    """

    out_channels: int = field(converter=fields.as_int, validator=fields.positive)
    kernel_size: Ints = field(converter=fields.as_ints, validator=fields.positive_ints)
    stride: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    padding: Padding = field(
        default=((0, 0),), converter=fields.as_padding, validator=fields.padding
    )
    dilation: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    groups: int = field(default=1, converter=fields.as_int, validator=fields.positive)
    bias: bool = field(default=True, converter=fields.as_bool, validator=fields.boolean)
