"""Caffe's layers that connect, join, cut and reshape blobs."""

from __future__ import annotations

import math

from convserve.layers import Concat, Dense, Flatten, Permute, Reshape, Slice

from convserve_server.planning.importers.caffe.place import Place


def connect(place: Place) -> str:
    """InnerProduct over all axes from `axis` on."""
    fields = place.fields("inner_product_param")
    fields.ignore("weight_filler", "bias_filler", "transpose")  # how the weights lie in the file
    axis, rank = place.axis(fields), len(place.shape)
    layer = Dense(fields.integer("num_output", low=1), fields.flag("bias_term", True))
    fields.finish()
    x = place.input
    if axis < rank:
        sizes = place.shape
        shape = (*sizes[: axis - 1], math.prod(sizes[axis - 1 :]))
        x = place.add(Flatten() if axis == 1 else Reshape(shape), x, part="flatten")
    return place.add(layer, x)


def flatten(place: Place) -> str:
    """Flatten the axes from `axis` to `end_axis`."""
    fields = place.fields("flatten_param")
    axis, end = place.axis(fields), place.axis(fields, "end_axis", -1)
    fields.finish()
    sizes = place.shape
    if end < axis:
        raise place.unsupported(f"end_axis {end} is before axis {axis}", "flatten_param")
    if (axis, end) == (1, len(sizes)):
        return place.add(Flatten(), place.input)
    shape = (*sizes[: axis - 1], math.prod(sizes[axis - 1 : end]), *sizes[end:])
    return place.add(Reshape(shape), place.input)


def reshape(place: Place) -> str:
    """Reshape: 0 copies a size, -1 is what is left; the batch stays."""
    fields = place.fields("reshape_param")
    fields.require("num_axes", (-1,), "all axes from `axis` on")
    start = fields.get("axis") or 0
    shapes = place.layer.parameters("reshape_param").get("shape")
    fields.ignore("shape")
    fields.finish()
    dims = list(shapes.all("dim")) if hasattr(shapes, "all") else []
    if start not in (0, 1) or not dims or not all(type(size) is int for size in dims):
        raise fields.unsupported("shape", "shape { dim: ... } for all axes, from axis 0 or 1")
    if start == 0 and dims.pop(0) != 0:
        raise fields.unsupported("shape", "the batch stays: begin with dim: 0")
    if any(size < -1 or (size == 0 and i >= len(place.shape)) for i, size in enumerate(dims)):
        raise fields.wrong("shape", "sizes, 0 to copy one, or -1")
    sizes = tuple(place.shape[i] if size == 0 else size for i, size in enumerate(dims))
    return place.add(Reshape(sizes), place.input) if sizes else place.add(Flatten(), place.input)


def permute(place: Place) -> str:
    """Permute, of the SSD branch of Caffe; the batch stays first."""
    fields = place.fields("permute_param")
    order = fields.integers("order")
    fields.finish()
    rank = len(place.shape)
    if order[:1] != (0,) or sorted(order) != list(range(rank + 1)):
        raise fields.unsupported("order", f"0 and then the axes 1 to {rank} in some order")
    return place.add(Permute(order[1:]), place.input)


def concatenate(place: Place) -> str:
    """Concat along one axis."""
    fields = place.fields("concat_param")
    old = "concat_dim" in fields
    axis = place.axis(fields, "concat_dim" if old else "axis")
    fields.finish()
    if len(place.inputs) == 1:
        return place.inputs[0]
    return place.add(Concat(axis), *place.inputs)


def cut(place: Place) -> tuple[str, ...]:
    """Slice along one axis, at the given points or into equal parts."""
    fields = place.fields("slice_param")
    axis = place.axis(fields, "slice_dim" if "slice_dim" in fields else "axis")
    size, count = place.shape[axis - 1], len(place.layer.tops)
    inner = fields.integers("slice_point", None, (), 1) if "slice_point" in fields else ()
    fields.finish()
    if not inner and count and size % count == 0:
        inner = tuple(range(size // count, size, size // count))
    points = (0, *inner, size)
    if len(points) != count + 1 or list(points) != sorted(set(points)):
        raise place.unsupported(
            f"{count} tops of {size} elements cannot be cut at {inner}", "slice_param.slice_point"
        )
    return tuple(
        place.add(Slice(axis, low, high), place.input, part=top)
        for low, high, top in zip(points, points[1:], place.layer.tops, strict=False)
    )


def crop(place: Place) -> str:
    """Crop the first blob to the sizes of the second, from `axis` on."""
    fields = place.fields("crop_param")
    axis = place.axis(fields, "axis", 2)
    if len(place.inputs) != 2:
        raise place.unsupported("it reads 2 blobs", "bottom")
    rank = len(place.shape)
    offsets = fields.integers("offset", None, (0,))
    fields.finish()
    count = rank + 1 - axis
    offsets = offsets * count if len(offsets) == 1 else offsets
    wanted = place.draft.shape(place.inputs[1])
    if len(offsets) != count or len(wanted) != rank:
        raise place.unsupported(f"give 1 offset or {count}, for blobs of one rank", "offset")
    y = place.inputs[0]
    for number, offset in zip(range(axis, rank + 1), offsets, strict=True):
        stop = offset + wanted[number - 1]
        if stop > place.shape[number - 1]:
            raise place.unsupported(f"axis {number} ends before {stop}", "crop_param.offset")
        if (offset, stop) != (0, place.shape[number - 1]):
            y = place.add(Slice(number, offset, stop), y)
    place.draft.note(f"{place.layer.name}: cut for the file's input size")
    return y
