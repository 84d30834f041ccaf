"""Convolutions of integers: ConvInteger and QLinearConv."""

from __future__ import annotations

import numpy as np
from convserve.layers import IntegerConv, QuantizedConv

from convserve_server.planning.importers.onnx.call import Call
from convserve_server.planning.importers.onnx.constants import Constant, filled
from convserve_server.planning.importers.onnx.operators.convolution import kernel_of, with_channels
from convserve_server.planning.importers.onnx.operators.windows import window


def conv_integer(call: Call) -> None:
    """Inputs: x, w, x_zero_point, w_zero_point."""
    x, weight = call.value(0), call.constant(1, "weight")
    kernel, channels = kernel_of(call, weight, x), weight.shape[0]
    layer = IntegerConv(channels, kernel, **window(call, kernel), groups=call.integer("group", 1))
    result = call.add(
        layer,
        x,
        shape=with_channels(channels, x),
        weights={
            "weight": weight,
            "input_zero_point": _spread(call, 2, "x_zero_point", x.dtype, 1),
            "weight_zero_point": _spread(call, 3, "w_zero_point", weight.dtype, channels),
        },
    )
    call.put(result)


def quantized_conv(call: Call) -> None:
    """Inputs: x and its scale and zero point, w and its own, y's scale and zero point, B."""
    x, weight, bias = call.value(0), call.constant(3, "weight"), call.optional(8, "bias")
    kernel, channels = kernel_of(call, weight, x), weight.shape[0]
    layer = QuantizedConv(
        channels,
        kernel,
        **window(call, kernel),
        groups=call.integer("group", 1),
        bias=bias is not None,
    )
    result = call.add(
        layer,
        x,
        shape=with_channels(channels, x),
        weights={
            "weight": weight,
            "bias": bias,
            "input_scale": _needed(call, 1, "x_scale", 1),
            "input_zero_point": _needed(call, 2, "x_zero_point", 1),
            "weight_scale": _needed(call, 4, "w_scale", channels),
            "weight_zero_point": _needed(call, 5, "w_zero_point", channels),
            "output_scale": _needed(call, 6, "y_scale", 1),
            "output_zero_point": _needed(call, 7, "y_zero_point", 1),
        },
    )
    call.put(result)


def _spread(call: Call, position: int, what: str, dtype: str, count: int) -> Constant:
    """A number, or one per channel; zeros where it is left out."""
    if call.optional(position, what) is None:
        return filled(dtype, (count,))
    return _needed(call, position, what, count)


def _needed(call: Call, position: int, what: str, count: int) -> Constant:
    values = call.array(position, what).reshape(-1)
    if values.size not in (1, count):
        call.refuse(f"its {what} has {values.size} elements; it must have 1 or {count}")
    return call.building.compute(np.ascontiguousarray(np.broadcast_to(values, (count,))))


OPERATORS = {"ConvInteger": conv_integer, "QLinearConv": quantized_conv}
