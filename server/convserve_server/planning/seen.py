"""What a tensor sees of the network's input, and along which of its own axes.

A layer may move axes, join them or split them. A receptive field belongs to a spatial axis of the
input and stays as long as one axis of the tensor runs along it, or every element sees all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import msgspec
from convserve.layers import ConvTranspose
from convserve.tensors import Shape
from msgspec.structs import replace

from convserve_server.planning.graph import Node
from convserve_server.planning.receptive_field import AxisField, AxisFields, Reach, unite
from convserve_server.planning.windows import split

SAME_MODES = ("same", "same_upper", "same_lower")


class Seen(msgspec.Struct, frozen=True):
    """The field for each spatial axis of the network's input: () without any, None if unknown.

    `axes` tells for each of them along which axis of a sample it runs (0 is the channels'); None
    along none: every element sees the same.
    """

    fields: AxisFields | None
    axes: tuple[int | None, ...] = ()

    @classmethod
    def of_input(cls, shape: Shape) -> Seen:
        """What a network input of one sample's `shape` sees: each element itself."""
        return cls(tuple(AxisField() for _ in shape[1:]), tuple(range(1, len(shape))))


UNKNOWN = Seen(None)


def join(branches: Sequence[Seen]) -> Seen:
    """What a layer's inputs see together; unknown where their axes do not correspond."""
    if len(branches) == 1:
        return branches[0]
    spatial = [branch for branch in branches if branch.fields != ()]
    if len(spatial) < 2:
        return spatial[0] if spatial else branches[0]
    fields = [branch.fields for branch in spatial]
    if None in fields or len({branch.axes for branch in spatial}) > 1:
        return UNKNOWN
    return Seen(unite(fields), spatial[0].axes)


def reaches_of(node: Node, before: Seen) -> tuple[Reach, ...]:
    """How far the layer sees along each axis with a field; () if it looks at one element only."""
    reaches = node.reaches
    if _is_in_place(before, node.shapes[0]):
        return reaches
    mixed = node.rule.mixes_channels(node.layer, node.shapes)
    across = Reach(span=node.shapes[0][0], stride=0) if mixed else Reach()
    whole = (across, *(reaches or (Reach(),) * (len(node.shapes[0]) - 1)))
    return tuple(Reach() if axis is None else whole[axis] for axis in before.axes)


def through(node: Node, before: Seen, reaches: Sequence[Reach]) -> Seen:
    """What the layer's result sees, which sees `before` through `reaches`."""
    if not before.fields:
        return before
    fields = _advanced(node, before, before.fields, reaches)
    if fields is None:
        return UNKNOWN
    varies = _starts_vary(node, reaches)
    if any(varies):
        pairs = zip(fields, varies, strict=True)
        fields = tuple(replace(field, varies=field.varies or here) for field, here in pairs)
    return _moved(node, before if fields is before.fields else Seen(fields, before.axes))


def _advanced(
    node: Node, before: Seen, fields: AxisFields, reaches: Sequence[Reach]
) -> AxisFields | None:
    """The fields behind the layer, as its rule has them for fields on all spatial axes."""
    shape = node.shapes[0]
    if _is_in_place(before, shape):
        return node.rule.field(node.layer, node.shapes, node.reaches, fields)
    by_axis = dict(zip(before.axes, fields, strict=True))
    spread = tuple(by_axis.get(axis, AxisField()) for axis in range(1, len(shape)))
    after = node.rule.field(node.layer, node.shapes, node.reaches, spread)
    if after is None:
        return None
    return tuple(
        after[axis - 1] if axis else field.through(reach)
        for axis, field, reach in zip(before.axes, fields, reaches, strict=True)
    )


def _starts_vary(node: Node, reaches: Sequence[Reach]) -> tuple[bool, ...]:
    """For each field, whether the padding before it depends on the input's size; () for none.

    `same` pads max(0, e - r) in all, where r from 1 to the stride is what the last stride of the
    input has: its split is the same for all sizes, or it depends on the size modulo the stride.
    """
    padding = getattr(node.given, "padding", None)
    if isinstance(node.given, ConvTranspose) or padding not in SAME_MODES:
        return ()
    more_low = padding == "same_lower"
    return tuple(
        split(max(0, reach.span - reach.stride), more_low=more_low)[0]
        != split(reach.span - 1, more_low=more_low)[0]
        for reach in reaches
    )


def _moved(node: Node, seen: Seen) -> Seen:
    """The fields on the axes where the layer puts them; unknown if one gets lost."""
    assert seen.fields is not None
    places = node.rule.places(node.layer, node.shapes)
    if places is None:
        if len(node.output.shape) >= len(node.shapes[0]):
            return seen
        places = tuple(range(len(node.output.shape))) + (None,) * len(node.shapes[0])
    axes = tuple(None if axis is None else places[axis] for axis in seen.axes)
    for before, after, field in zip(seen.axes, axes, seen.fields, strict=True):
        if before is not None and after is None and field.jump and node.shapes[0][before] > 1:
            return UNKNOWN
    return Seen(seen.fields, axes)


def _is_in_place(seen: Seen, shape: Shape) -> bool:
    """Whether the fields are those of the sample's spatial axes, in their order."""
    return seen.axes == _spatial_axes(len(shape))


@cache
def _spatial_axes(rank: int) -> tuple[int, ...]:
    """The spatial axes of a sample of such a rank, in their order."""
    return tuple(range(1, rank))
