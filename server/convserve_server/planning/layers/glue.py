"""Other orders of axes, other shapes, parts of an axis."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math

from attrs import evolve
from convserve.errors import InvalidLayerError, ShapeError
from convserve.layers import Permute, Reshape, Slice
from convserve.tensors import Shape

from convserve_server.planning.axes import batched, product, resolve_axis
from convserve_server.planning.layers.rule import NOTHING, Rule, Shapes
from convserve_server.planning.receptive_field import Reach


class PermuteRule(Rule[Permute]):
    """The axes after the batch in another order."""

    keeps = NOTHING

    def resolve(self, layer: Permute, shapes: Shapes) -> Permute:
        if len(layer.order) != len(shapes[0]):
            raise InvalidLayerError(
                f"{layer.order} orders {len(layer.order)} axes, but {batched(shapes[0])} has "
                f"{len(shapes[0])} after the batch; name each of them, from 1",
                field="order",
                metadata={"value": layer.order, "limit": len(shapes[0])},
            )
        return layer

    def output_shape(self, layer: Permute, shapes: Shapes) -> Shape:
        return tuple(shapes[0][axis - 1] for axis in layer.order)

    def places(self, layer: Permute, shapes: Shapes) -> tuple[int | None, ...]:
        return tuple(layer.order.index(axis) for axis in range(1, len(layer.order) + 1))

    def mixes_channels(self, layer: Permute, shapes: Shapes) -> bool:
        return False

    def can_cut(self, layer: Permute, shapes: Shapes, axis: int) -> bool:
        return layer.order[axis - 1] == axis

    def explain(self, given: Permute, layer: Permute, shapes: Shapes) -> tuple[str, ...]:
        result = batched(self.output_shape(layer, shapes))
        return (f"{batched(shapes[0])} with its axes in the order {layer.order} is {result}",)


class ReshapeRule(Rule[Reshape]):
    """The same elements under another shape."""

    keeps = NOTHING

    def resolve(self, layer: Reshape, shapes: Shapes) -> Reshape:
        count = math.prod(shapes[0])
        known = math.prod(size for size in layer.shape if size != -1)
        if (-1 in layer.shape and count % known) or (-1 not in layer.shape and count != known):
            raise ShapeError(
                f"{batched(layer.shape)} has {known} elements per sample"
                f"{' for each of the axis of -1' if -1 in layer.shape else ''}, but "
                f"{batched(shapes[0])} has {count}; the shape leaves out the batch",
                field="shape",
                metadata={"value": known, "limit": count},
            )
        return evolve(
            layer, shape=tuple(count // known if size == -1 else size for size in layer.shape)
        )

    def output_shape(self, layer: Reshape, shapes: Shapes) -> Shape:
        return layer.shape

    def reach(self, layer: Reshape, shapes: Shapes) -> tuple[Reach, ...]:
        """One axis of features counts as seeing what all of them see, as in Flatten."""
        if len(layer.shape) > 1:
            return ()
        return tuple(Reach(span=length, stride=0) for length in shapes[0][1:])

    def places(self, layer: Reshape, shapes: Shapes) -> tuple[int | None, ...] | None:
        return None if len(layer.shape) == 1 else kept_axes(shapes[0], layer.shape)

    def mixes_channels(self, layer: Reshape, shapes: Shapes) -> bool:
        return len(layer.shape) == 1

    def can_cut(self, layer: Reshape, shapes: Shapes, axis: int) -> bool:
        return False

    def explain(self, given: Reshape, layer: Reshape, shapes: Shapes) -> tuple[str, ...]:
        count = math.prod(shapes[0])
        return (f"elements = {product(shapes[0])} = {count} = {product(layer.shape)} per sample",)


class SliceRule(Rule[Slice]):
    """Every step-th index of one axis, by Python's rules."""

    keeps = NOTHING

    def resolve(self, layer: Slice, shapes: Shapes) -> Slice:
        axis = resolve_axis(layer.axis, shapes[0], "axis")
        size = shapes[0][axis - 1]
        start, stop, _ = slice(layer.start, layer.stop).indices(size)
        if start >= stop:
            raise ShapeError(
                f"from {layer.start} to {layer.stop} is no element of axis {axis} of "
                f"{batched(shapes[0])}; use a start from 0 to {size - 1} and a stop behind it",
                field="start",
                metadata={"value": layer.start, "limit": size},
            )
        return evolve(layer, axis=axis, start=start, stop=stop)

    def output_shape(self, layer: Slice, shapes: Shapes) -> Shape:
        at = layer.axis - 1
        return (*shapes[0][:at], len(_indices(layer)), *shapes[0][at + 1 :])

    def reach(self, layer: Slice, shapes: Shapes) -> tuple[Reach, ...]:
        if layer.axis == 1:
            return ()
        part = Reach(stride=layer.step, low=-layer.start)
        return tuple(
            part if axis == layer.axis else Reach() for axis in range(2, len(shapes[0]) + 1)
        )

    def mixes_channels(self, layer: Slice, shapes: Shapes) -> bool:
        return layer.axis == 1

    def can_cut(self, layer: Slice, shapes: Shapes, axis: int) -> bool:
        return axis != layer.axis

    def explain(self, given: Slice, layer: Slice, shapes: Shapes) -> tuple[str, ...]:
        numbers = f"ceil(({layer.stop} - {layer.start}) / {layer.step}) = {len(_indices(layer))}"
        return (f"axis {layer.axis}: size = ceil((stop - start) / step) = {numbers}",)


def kept_axes(before: Shape, after: Shape) -> tuple[int | None, ...]:
    """Where each axis of `before` is in `after`, if it is neither split nor joined with another.

    An axis is kept if it has its size, and as many elements before it and behind it.
    """
    places: dict[tuple[int, int], list[int]] = {}
    for at, size in enumerate(after):
        places.setdefault((math.prod(after[:at]), size), []).append(at)
    kept: list[int | None] = []
    for at, size in enumerate(before):
        found = places.get((math.prod(before[:at]), size))
        kept.append(found.pop(0) if found else None)  # axes of size 1 in their order
    return tuple(kept)


def _indices(layer: Slice) -> range:
    assert layer.stop is not None  # a resolved layer states it
    return range(layer.start, layer.stop, layer.step)
