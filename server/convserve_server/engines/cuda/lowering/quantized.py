"""Convolution of 8-bit integers: exact sums, and for quantized numbers one rounding at the end."""

from __future__ import annotations

import math

import numpy as np
from convserve.layers import IntegerConv, Layer, QuantizedConv
from convserve.tensors import dtype_of

from convserve_server.engines.cuda.checks import SCALES
from convserve_server.engines.cuda.lowering.builder import Builder, Emitter
from convserve_server.engines.cuda.lowering.direct import Direct, forward, outputs_last
from convserve_server.engines.cuda.lowering.integer_checks import check_bound
from convserve_server.engines.cuda.lowering.windows import Windows, lifted, pairs
from convserve_server.engines.cuda.recipe import Check
from convserve_server.engines.cuda.views import View, collapse
from convserve_server.planning.program import Step

_LARGEST = 255  # absolute value of a number of 8 bits less another


def _integer(builder: Builder, step: Step) -> None:
    x, weight = _without_zeros(builder, step)
    if _largest_sum(weight) > np.iinfo(np.int32).max:
        field = f"tensors['{step.parameters[0].name}']"
        check_bound(builder, x, weight, None, "int32", kept=(0,), field=field)
    forward(builder, builder.result(step.output), x, weight, _windows(step))
    builder.record(step, Direct().name)


def _quantized(builder: Builder, step: Step) -> None:
    weights = builder.weights_of(step)
    for role in ("input_scale", "weight_scale", "output_scale"):
        field = f"tensors['{step.weights[role].name}']"
        builder.checks.append(Check(SCALES, (weights[role],), "float32", field))
    x, weight = _without_zeros(builder, step)
    dtype = "int32" if _largest_sum(weight) <= np.iinfo(np.int32).max else "int64"
    sums = builder.new(dtype, step.output.shape)
    forward(builder, sums, x, weight, _windows(step))
    y, limits = builder.result(step.output), np.iinfo(dtype_of(step.output.dtype))
    builder.launch(
        "Quantize",
        (y.dtype, dtype),
        *(lifted(y), lifted(sums)),
        weights.get("bias") or builder.constant("int32", 0.0, (y.shape[1],)),
        *(weights[role] for role in ("input_scale", "weight_scale", "output_scale")),
        weights["output_zero_point"],
        *(int(limits.min), int(limits.max)),
        count=y.element_count,
    )
    builder.record(step, Direct().name)


def _without_zeros(builder: Builder, step: Step) -> tuple[View, View]:
    """The input and the weight less their zero points, in int16."""
    x, weights = builder.value(step.inputs[0].name), builder.weights_of(step)
    weight = weights["weight"]
    channels = weights["weight_zero_point"]
    while len(channels.shape) < len(weight.shape):
        channels = channels.inserted(len(channels.shape))
    with builder.preparation():
        exact = _difference(builder, weight, channels.expanded(weight.shape))
        exact = outputs_last(builder, exact)
    zero = weights["input_zero_point"].expanded(x.shape)
    return _difference(builder, x, zero), exact


def _difference(builder: Builder, view: View, zero: View) -> View:
    made = builder.new("int16", view.shape)
    arguments = collapse(made, view, zero)
    builder.launch("WithoutZero", (view.dtype,), *arguments, count=made.element_count)
    return made


def _largest_sum(weight: View) -> int:
    return math.prod(weight.shape[1:]) * _LARGEST * _LARGEST


def _windows(step: Step) -> Windows:
    layer = step.layer
    assert isinstance(layer, IntegerConv | QuantizedConv)
    return Windows(layer.stride, pairs(layer.padding), layer.dilation)


TABLE: dict[type[Layer], Emitter] = {IntegerConv: _integer, QuantizedConv: _quantized}
