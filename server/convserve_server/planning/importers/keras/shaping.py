"""Keras's layers that move elements: padding, cropping, upsampling, flattening, reshaping."""

from __future__ import annotations

import math

from convserve.errors import UnsupportedError
from convserve.layers import Flatten, Pad, Reshape, Slice, Upsample
from convserve.tensors import Shape

from convserve_server.planning.importers.keras.call import Call
from convserve_server.planning.importers.keras.convolution import pairs
from convserve_server.planning.importers.keras.values import (
    Value,
    arrange,
    keras_order,
    layout_order,
    reshaped_freely,
)


def pad_zeros(call: Call, rank: int) -> Value:
    """ZeroPadding1D, ZeroPadding2D, ZeroPadding3D."""
    return call.add(Pad(pairs(call, "padding", rank)), call.spatial(rank))


def crop(call: Call, rank: int) -> Value:
    """Cropping1D, Cropping2D, Cropping3D: a slice for each axis that loses something."""
    y = call.spatial(rank)
    cuts = [
        (axis, Slice(axis, low, -high if high else None))
        for axis, (low, high) in enumerate(pairs(call, "cropping", rank), start=2)
        if low or high
    ]
    for axis, cut in cuts:
        y = call.add(cut, y, part="" if axis == cuts[-1][0] else f"axis{axis}")
    return y


def upsample(call: Call, rank: int) -> Value:
    """UpSampling1D, UpSampling2D, UpSampling3D. Keras's bilinear has half-pixel centres."""
    x = call.spatial(rank)
    scale = call.per_axis("size", rank, 2)
    modes = ("nearest", "bilinear") if rank == 2 and not call.lead else ("nearest",)
    mode = call.fields.word("interpolation", modes, "nearest")
    if mode == "nearest":
        return call.add(Upsample(scale), x)
    return call.add(Upsample(scale, "linear", coordinates="half_pixel"), x)


def flatten(call: Call) -> Value:
    """Flatten: in Keras's order of the axes, and of (*L, C) also where channels are first."""
    layout = call.fields.word("data_format", ("channels_last", "channels_first"), "channels_last")
    x, rank, lead = call.input, call.input.rank, call.lead
    if rank == lead + 1:
        return x
    axes = keras_order(rank)[lead:]
    if layout == "channels_first":
        axes = (*axes[1:], axes[0])
    order = (*keras_order(lead), *axes)
    if lead:
        shape = (*x.shape[:lead], -1)
        return call.add(Reshape(shape), arrange(call.draft, x, order), order=keras_order(lead + 1))
    if [axis for axis in x.order if x.shape[axis - 1] > 1] != [
        axis for axis in order if x.shape[axis - 1] > 1
    ]:
        x = arrange(call.draft, x, order)
    return call.add(Flatten(), x, order=(1,))


def reshape(call: Call) -> Value:
    """Reshape: in Keras's order; no axis moves where only axes of one element come or go."""
    x, lead = call.input, call.lead
    sizes = call.fields.integers("target_shape", low=-1)
    if 0 in sizes:
        raise call.fields.wrong("target_shape", "sizes of at least 1, of which one may be -1")
    target = (*x.shape[:lead], *sizes)
    shape = _whole(call, target)
    order = layout_order(len(shape), last=True, lead=lead)
    if not reshaped_freely(x, shape, order):
        order = keras_order(len(shape))
        x = arrange(call.draft, x, keras_order(x.rank))
    return call.add(Reshape(tuple(target[axis - 1] for axis in order)), x, order=order)


def permute(call: Call) -> Value:
    """Permute: another numbering of the same tensor; nothing moves until a layer needs it."""
    lead, rank = call.lead, call.input.rank
    dims = keras_order(lead) + tuple(
        lead + axis for axis in call.fields.integers("dims", rank - lead, low=1)
    )
    if sorted(dims) != list(keras_order(rank)):
        raise call.fields.wrong("dims", f"the numbers 1 to {rank - lead} in some order")
    order = tuple(dims.index(axis) + 1 for axis in call.input.order)
    return Value(call.input.name, call.input.sizes, order)


def _whole(call: Call, target: Shape) -> Shape:
    """The target with its -1 as a number."""
    known = math.prod(size for size in target if size != -1)
    total = math.prod(call.input.sizes)
    if target.count(-1) > 1 or total % known or (-1 not in target and total != known):
        raise UnsupportedError(
            f"{call.fields.where}: {total} elements of {call.input.shape} cannot have the shape "
            f"{target}",
            field="target_shape",
            metadata={"value": target, "limit": total},
        )
    return tuple(total // known if size == -1 else size for size in target)
