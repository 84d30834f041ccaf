"""Convolutions of real numbers: Conv, ConvTranspose, DeformConv, and Col2Im."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from convserve.errors import InvalidArgumentError
from convserve.layers import Conv, ConvTranspose, DeformConv, Fold
from convserve.layers.fields import Ints, Pairs
from convserve.tensors import Shape

from convserve_server.planning.importers.onnx.building import OpenShape, Value
from convserve_server.planning.importers.onnx.call import Call, check_open
from convserve_server.planning.importers.onnx.constants import Constant
from convserve_server.planning.importers.onnx.operators.windows import (
    SAME,
    padding,
    per_axis,
    window,
)
from convserve_server.planning.windows import split


def kernel_of(call: Call, weight: Constant, x: Value) -> Shape:
    """The window of a weight (out, in, *kernel); checked against the attribute and the input."""
    kernel: Shape = weight.shape[2:]
    given = call.integers("kernel_shape")
    if given and given != kernel:
        raise InvalidArgumentError(f"its kernel_shape is {given}, but its weight has {kernel}")
    if len(weight.shape) != x.rank:
        raise InvalidArgumentError(
            f"its weight has {len(weight.shape)} axes, but its input {x.rank}"
        )
    return kernel


def with_channels(channels: int, x: Value) -> OpenShape:
    """A result of which only the channels are known."""
    return (channels, *(None for _ in x.shape[1:]))


def conv(call: Call) -> None:
    """Inputs: X, W (K, C / group, *kernel), B."""
    x, weight, bias = call.value(0), call.constant(1, "weight"), call.optional(2, "bias")
    kernel = kernel_of(call, weight, x)
    layer = Conv(
        weight.shape[0],
        kernel,
        **window(call, kernel),
        groups=call.integer("group", 1),
        bias=bias is not None,
    )
    shape = with_channels(weight.shape[0], x)
    call.put(call.add(layer, x, shape=shape, weights={"weight": weight, "bias": bias}))


def conv_transpose(call: Call) -> None:
    """Inputs: X, W (C, K / group, *kernel), B."""
    x, weight, bias = call.value(0), call.constant(1, "weight"), call.optional(2, "bias")
    kernel, groups = kernel_of(call, weight, x), call.integer("group", 1)
    fields = _transposed_window(call, kernel, x)
    channels = weight.shape[1] * groups
    layer = ConvTranspose(channels, kernel, **fields, groups=groups, bias=bias is not None)
    shape = with_channels(channels, x)
    call.put(call.add(layer, x, shape=shape, weights={"weight": weight, "bias": bias}))


def _transposed_window(call: Call, kernel: Shape, x: Value) -> dict[str, Any]:
    rank = len(kernel)
    strides, dilations = per_axis(call, "strides", rank), per_axis(call, "dilations", rank)
    pads, extra = padding(call, rank), call.integers("output_padding") or (0,) * rank
    output = call.integers("output_shape")
    if len(extra) != rank or (output and len(output) != rank):
        raise InvalidArgumentError(f"its output_padding or output_shape is not for {rank} axes")
    if output or pads in SAME:
        sizes = tuple(zip(x.sizes[1:], output, strict=True)) if output else ()
        more_low = pads != "same_upper"
        pads, extra = cut_transposed(kernel, strides, dilations, extra, sizes, more_low=more_low)
    return {"stride": strides, "padding": pads, "output_padding": extra, "dilation": dilations}


def cut_transposed(
    kernel: Ints,
    strides: Ints,
    dilations: Ints,
    extra: Ints,
    sizes: Collection[tuple[int, int]],
    *,
    more_low: bool,
) -> tuple[Pairs, Ints]:
    """The padding and output padding of a ConvTranspose whose result's size is told.

    `sizes` are (L, output) per axis; without them auto_pad SAME has output = L * stride. `extra` is
    output_padding. The formula of ONNX's text, which wins over pads: what is cut is
    total = stride * (L - 1) + output_padding + e - output, an odd one more at the end for
    SAME_UPPER and more at the beginning for everything else. What lacks is added at the end.
    """
    numbers = zip(kernel, strides, dilations, extra, strict=True)
    totals = [d * (k - 1) + 1 + op - s for k, s, d, op in numbers]
    if sizes:
        told = zip(totals, strides, sizes, strict=True)
        totals = [total + n * s - output for total, s, (n, output) in told]
    return (
        tuple(split(max(0, total), more_low=more_low) for total in totals),
        tuple(op + max(0, -total) for op, total in zip(extra, totals, strict=True)),
    )


def deform_conv(call: Call) -> None:
    """Inputs: X, W, offset, B, mask."""
    x, weight, offset = call.value(0), call.constant(1, "weight"), call.value(2)
    bias = call.optional(3, "bias")
    mask = () if call.input(4) is None else (call.value(4),)
    kernel = kernel_of(call, weight, x)
    layer = DeformConv(
        weight.shape[0],
        kernel,
        **window(call, kernel),
        groups=call.integer("group", 1),
        offset_groups=call.integer("offset_group", 1),
        bias=bias is not None,
    )
    shape = with_channels(weight.shape[0], x)
    call.put(
        call.add(layer, x, offset, *mask, shape=shape, weights={"weight": weight, "bias": bias})
    )


def col2im(call: Call) -> None:
    """Inputs: columns (N, C * prod(block), L), the image's shape, the block's."""
    image = call.integers_at(1, "image_shape") or ()
    block = check_open(call.integers_at(2, "block_shape") or (), "block_shape")
    size = check_open(image, "image_shape")
    layer = Fold(size, block, **window(call, block))
    call.put(call.add(layer, call.value(0), shape=(None,) * (1 + len(size))))


OPERATORS = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "DeformConv": deform_conv,
    "Col2Im": col2im,
}
