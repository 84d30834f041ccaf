"""Deformable convolution: the values between the elements first, then their sums."""

from __future__ import annotations

import math

from convserve.layers import DeformConv, Layer

from convserve_server.engines.cuda.lowering.builder import Builder, Emitter
from convserve_server.engines.cuda.lowering.inner import convolved
from convserve_server.engines.cuda.lowering.rows import sum_type
from convserve_server.engines.cuda.lowering.windows import pairs
from convserve_server.engines.cuda.views import View
from convserve_server.planning.program import Step


def _deform_conv(builder: Builder, step: Step) -> None:
    """The values that all taps read are an axis (N, C, H', W', taps), which one window covers."""
    weights, columns = builder.weights_of(step), _columns(builder, step)
    with builder.preparation():
        weight = _by_tap(builder.contiguous(weights["weight"], columns.dtype))
        bias = builder.cast(weights["bias"], columns.dtype) if "bias" in weights else None
    y, algorithm = convolved(builder, columns, weight, (*step.output.shape[2:], 1), bias)
    y = y.permuted((0, 1, 2, 3))
    builder.bind(step.output.name, builder.cast(y, step.output.dtype))
    builder.record(step, algorithm)


def _columns(builder: Builder, step: Step) -> View:
    """What each tap of each window reads, in the type of the sums."""
    layer, dtype = step.layer, step.output.dtype
    assert isinstance(layer, DeformConv)
    x, *places = builder.inputs_of(step)
    x, offset = builder.channels_last(x, dtype), builder.cast(places[0], dtype)
    taps = math.prod(layer.kernel_size)
    if len(places) > 1:
        mask = builder.cast(places[1], dtype)
    else:
        shape = (x.shape[0], layer.offset_groups * taps, *step.output.shape[2:])
        mask = builder.constant(dtype, 1.0, shape)
    columns = builder.new(sum_type(dtype), (*x.shape[:2], *step.output.shape[2:], taps))
    lows = (low for low, _ in pairs(layer.padding))
    builder.launch(
        "Deform",
        (dtype,),
        *(columns, x, offset, mask),
        *(x.shape[1] // layer.offset_groups, layer.kernel_size[1]),
        *(*layer.stride, *lows, *layer.dilation),
        count=columns.element_count,
    )
    return columns


def _by_tap(weight: View) -> View:
    """(K, C / groups, kh, kw), contiguous, as (K, C / groups, 1, 1, taps)."""
    outputs, inputs, *kernel = weight.shape
    flat = weight.reshaped((outputs, inputs, math.prod(kernel)))
    assert flat is not None
    return flat.inserted(2).inserted(2)


TABLE: dict[type[Layer], Emitter] = {DeformConv: _deform_conv}
