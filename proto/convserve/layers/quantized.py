"""Convolution of 8-bit integers and of quantized numbers."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import fields
from convserve.layers.conv import GroupedConvolution


@frozen
class IntegerConv(GroupedConvolution):
    """Convolution of int8 or uint8 into int32, as ONNX's ConvInteger.

    (x - input_zero_point) is convolved with (weight - weight_zero_point); padding counts as the
    input's zero point. Shapes as for `Conv`.
    Weights: `weight` (out_channels, C / groups, *kernel_size), `input_zero_point` (1),
    `weight_zero_point` (out_channels).
    """


@frozen
class QuantizedConv(GroupedConvolution):
    """Convolution of quantized numbers into quantized numbers, as ONNX's QLinearConv.

    A number is scale * (q - zero_point). The result is that of `IntegerConv`, plus `bias`, times
    input_scale * weight_scale / output_scale, rounded half to even, plus output_zero_point, cut to
    the range of its type, which is that of `output_zero_point`. Shapes as for `Conv`.
    Weights: `weight` (out_channels, C / groups, *kernel_size), `bias` (out_channels) of int32,
    `input_scale` (1), `input_zero_point` (1), `weight_scale` (out_channels), `weight_zero_point`
    (out_channels), `output_scale` (1), `output_zero_point` (1).
    """

    bias: bool = field(default=True, converter=fields.as_bool, validator=fields.boolean)
