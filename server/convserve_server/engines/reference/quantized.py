"""Convolution of 8-bit integers: exact sums, and for quantized numbers one rounding at the end."""

from __future__ import annotations

import numpy as np
from attrs import evolve
from convserve.layers import IntegerConv, QuantizedConv
from convserve.tensors import Array, TensorSpec

from convserve_server.engines.quantization import Quantizer
from convserve_server.engines.reference.conv import conv, per_channel
from convserve_server.planning.equivalents import grouped


def integer_conv(
    layer: IntegerConv,
    output: TensorSpec,
    x: Array,
    weight: Array,
    input_zero_point: Array,
    weight_zero_point: Array,
) -> Array:
    """Convolution of x - input_zero_point with weight - weight_zero_point, one of them per row."""
    x, weight = _without_zeros(x, weight, input_zero_point, weight_zero_point)
    return conv(grouped(layer), output, x, weight)


def quantized_conv(
    layer: QuantizedConv,
    output: TensorSpec,
    x: Array,
    weight: Array,
    bias: Array | None = None,
    **quantization: Array,
) -> Array:
    """The sums of `integer_conv` plus `bias`, scaled, rounded and cut to the output's range."""
    quantizer = Quantizer.of(quantization, output.name, output.dtype)
    zeros = (quantization["input_zero_point"], quantization["weight_zero_point"])
    x, weight = _without_zeros(x, weight, *zeros)
    sums = conv(grouped(layer), evolve(output, dtype="int64"), x, weight, bias)
    return quantizer.quantize(sums)


def _without_zeros(
    x: Array, weight: Array, input_zero_point: Array, weight_zero_point: Array
) -> tuple[Array, Array]:
    wide = weight.astype(np.int64) - per_channel(
        weight_zero_point.astype(np.int64), weight.ndim + 1
    )
    return x.astype(np.int64) - input_zero_point.astype(np.int64), wide
