"""Keras's convolutions.

Sizes: keras/src/ops/operation_utils.py `compute_conv_output_shape`; the transposed ones:
keras/src/backend/common/backend_utils.py `compute_conv_transpose_output_crops_for_torch`.
"""

from __future__ import annotations

from convserve.layers import Conv, ConvTranspose, DepthwiseConv, Layer, SeparableConv
from convserve.layers.fields import Ints, Padding, Pairs

from convserve_server.planning.importers.keras.activation import activate
from convserve_server.planning.importers.keras.call import Call
from convserve_server.planning.importers.keras.values import Value
from convserve_server.planning.windows import span

_PADDINGS = ("valid", "same")


def convolve(call: Call, rank: int) -> Value:
    """Conv1D, Conv2D, Conv3D."""
    x = call.spatial(rank)
    layer = Conv(
        call.fields.integer("filters", low=1),
        *_windows(call, rank),
        call.fields.integer("groups", 1, low=1),
        call.fields.flag("use_bias", True),
    )
    return _finished(call, layer, x)


def convolve_depthwise(call: Call, rank: int) -> Value:
    """DepthwiseConv1D, DepthwiseConv2D."""
    x = call.spatial(rank)
    layer = DepthwiseConv(
        *_windows(call, rank),
        call.fields.integer("depth_multiplier", 1, low=1),
        call.fields.flag("use_bias", True),
    )
    call.fields.ignore("filters", "groups")  # Keras 2 writes the base class's, always as 1 or None
    return _finished(call, layer, x)


def convolve_separable(call: Call, rank: int) -> Value:
    """SeparableConv1D, SeparableConv2D."""
    x = call.spatial(rank)
    call.fields.require("groups", (1,), "separable convolutions have no groups")
    layer = SeparableConv(
        call.fields.integer("filters", low=1),
        *_windows(call, rank),
        call.fields.integer("depth_multiplier", 1, low=1),
        call.fields.flag("use_bias", True),
    )
    return _finished(call, layer, x)


def convolve_transposed(call: Call, rank: int) -> Value:
    """Conv1DTranspose, Conv2DTranspose, Conv3DTranspose: Keras's sizes, whatever the input's."""
    x = call.spatial(rank)
    call.fields.require("groups", (1,), "transposed convolutions of Keras have no groups")
    kernel = call.per_axis("kernel_size", rank)
    strides = call.per_axis("strides", rank, 1)
    dilation = call.per_axis("dilation_rate", rank, 1)
    mode = call.fields.word("padding", _PADDINGS, "valid")
    extra: tuple[int | None, ...] = (None,) * (call.lead + rank)
    if "output_padding" in call.fields:
        extra = (0,) * call.lead + call.fields.integers("output_padding", rank)
    crops = [
        transposed_crop(mode, span(k, d), s, op)
        for k, d, s, op in zip(kernel, dilation, strides, extra, strict=True)
    ]
    layer = ConvTranspose(
        call.fields.integer("filters", low=1),
        kernel,
        strides,
        tuple((low, max(high, 0)) for low, high in crops),
        tuple(max(-high, 0) for _, high in crops),
        dilation,
        1,
        call.fields.flag("use_bias", True),
    )
    return _finished(call, layer, x)


def transposed_crop(mode: str, e: int, stride: int, extra: int | None) -> tuple[int, int]:
    """What Keras cuts from the (L - 1) * stride + e elements of the full result; below 0: adds.

    Without `extra` ("output_padding": None) the size is (L - 1) * stride + max(e, stride) for
    `valid` and L * stride for `same`; with it (L - 1) * stride + extra + e, or + e mod 2.
    """
    if mode == "valid":
        return 0, -(max(e, stride) - e if extra is None else extra)
    total = e - stride if extra is None else e - e % 2 - extra
    low = max(0, total // 2)
    return low, total - low


def _windows(call: Call, rank: int) -> tuple[Ints, Ints, Padding, Ints]:
    """Kernel size, strides, padding and dilation."""
    return (
        call.per_axis("kernel_size", rank),
        call.per_axis("strides", rank, 1),
        _padding(call, rank),
        call.per_axis("dilation_rate", rank, 1),
    )


def _padding(call: Call, rank: int) -> Padding:
    """`same` and `causal` stay words: they depend on the input's size."""
    mode = call.fields.word("padding", (*_PADDINGS, "causal"), "valid")
    if mode == "causal" and (rank, call.lead) != (1, 0):
        raise call.fields.unsupported("padding", "causal is for one spatial axis")
    return mode


def _finished(call: Call, layer: Layer, x: Value) -> Value:
    return activate(call, call.add(layer, x))


def pairs(call: Call, name: str, rank: int) -> Pairs:
    """(low, high) per spatial axis of `padding` or `cropping`; none for those of TimeDistributed.

    Keras writes an integer, one per axis, or pairs.
    """
    value = call.fields.get(name)
    items = value if isinstance(value, list) else [value] * rank
    if rank == 1 and len(items) == 2 and not isinstance(items[0], list):
        items = [items]
    both = [item if isinstance(item, list) else [item, item] for item in items]
    whole = all(
        len(pair) == 2 and all(type(size) is int and size >= 0 for size in pair) for pair in both
    )
    if len(both) != rank or not whole:
        raise call.fields.wrong(name, f"integers, or pairs of them, for {rank} axes")
    return ((0, 0),) * call.lead + tuple((low, high) for low, high in both)
