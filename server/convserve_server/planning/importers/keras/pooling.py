"""Keras's pooling. An average never counts padding; `same` is TensorFlow's."""

from __future__ import annotations

from convserve.layers import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    Layer,
    MaxPool,
    ReduceMax,
    ReduceMean,
)
from convserve.layers.fields import Ints

from convserve_server.planning.importers.keras.call import Call
from convserve_server.planning.importers.keras.values import Value


def pool_max(call: Call, rank: int) -> Value:
    """MaxPooling1D, MaxPooling2D, MaxPooling3D."""
    x = call.spatial(rank)
    return call.add(MaxPool(*_windows(call, rank)), x)


def pool_average(call: Call, rank: int) -> Value:
    """AveragePooling1D, AveragePooling2D, AveragePooling3D."""
    x = call.spatial(rank)
    return call.add(AvgPool(*_windows(call, rank), count_include_pad=False), x)


def pool_globally(call: Call, rank: int, *, largest: bool) -> Value:
    """GlobalMaxPooling and GlobalAveragePooling: one value per channel."""
    x = call.spatial(rank)
    keepdims = call.fields.flag("keepdims", False)
    if call.lead:
        axes = tuple(range(2 + call.lead, 2 + call.lead + rank))
        reduction: Layer = (ReduceMax if largest else ReduceMean)(axes, keepdims)
        order = x.order if keepdims else (call.lead + 1, *range(1, call.lead + 1))
        return call.add(reduction, x, order=order)
    y = call.add(GlobalMaxPool() if largest else GlobalAvgPool(), x)
    return y if keepdims else call.add(Flatten(), y, part="flatten", order=(1,))


def pool_adaptively(call: Call, rank: int, *, largest: bool) -> Value:
    """AdaptiveMaxPooling and AdaptiveAveragePooling."""
    if call.lead:
        raise call.fields.unsupported("output_size", "adaptive pooling in TimeDistributed")
    x = call.spatial(rank)
    size = call.per_axis("output_size", rank)
    return call.add(AdaptiveMaxPool(size) if largest else AdaptiveAvgPool(size), x)


def _windows(call: Call, rank: int) -> tuple[Ints, Ints, str]:
    """Size, strides and padding; the strides are the size where they are left out."""
    size = call.per_axis("pool_size", rank, 2)
    strides = call.per_axis("strides", rank) if "strides" in call.fields else size
    return size, strides, call.fields.word("padding", ("valid", "same"), "valid")
