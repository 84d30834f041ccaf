"""Layers that join several inputs: elementwise, with axes of size 1 repeated, or side by side."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math

from attrs import evolve
from convserve.errors import ShapeError
from convserve.layers import Concat
from convserve.tensors import Shape

from convserve_server.planning.axes import batched, resolve_axis
from convserve_server.planning.dtypes import NUMBERS
from convserve_server.planning.layers.rule import NOTHING, Kept, L, Rule, Shapes, Work


class ElementwiseRule(Rule[L]):
    """A function of one element of each input: `operation` once less than there are inputs.

    NumPy's broadcasting over the axes after the batch, of inputs of one rank. NumPy's sum of bools
    is an `or`, so they are refused.
    """

    least_inputs = 2

    def __init__(
        self,
        operation: str,
        most: int | None = None,
        takes: tuple[str, ...] = NUMBERS,
        keeps: Kept = NOTHING,
    ) -> None:
        self.most_inputs = most
        self.takes = takes
        self.keeps = keeps
        self._operation = operation

    def resolve(self, layer: L, shapes: Shapes) -> L:
        for position, shape in enumerate(shapes):
            if not _broadcasts(shape, shapes[0]):
                raise ShapeError(
                    f"input {position} has shape {batched(shape)}, but input 0 has "
                    f"{batched(shapes[0])}; they must have as many axes, each of one size or 1",
                    metadata={"position": position, "value": shape, "limit": shapes[0]},
                )
        for axis, sizes in enumerate(zip(*shapes, strict=True), start=1):
            if len(set(sizes) - {1}) > 1:
                raise ShapeError(
                    f"the inputs have sizes {sizes} on axis {axis}; each must be one size or 1",
                    metadata={"axis": axis, "value": sizes, "limit": max(sizes)},
                )
        return layer

    def output_shape(self, layer: L, shapes: Shapes) -> Shape:
        return tuple(max(sizes) for sizes in zip(*shapes, strict=True))

    def work(self, layer: L, shapes: Shapes) -> Work:
        count = (len(shapes) - 1) * math.prod(self.output_shape(layer, shapes))
        return Work(count, f"{len(shapes)} - 1 {self._operation} per element")

    def mixes_channels(self, layer: L, shapes: Shapes) -> bool:
        return False

    def can_cut(self, layer: L, shapes: Shapes, axis: int) -> bool:
        return len({shape[axis - 1] for shape in shapes}) == 1

    def explain(self, given: L, layer: L, shapes: Shapes) -> tuple[str, ...]:
        if len(set(shapes)) == 1:
            return ()
        sizes = " with ".join(map(batched, shapes))
        return (
            f"axes of size 1 are repeated: {sizes} = {batched(self.output_shape(layer, shapes))}",
        )


class ConcatRule(Rule[Concat]):
    """Side by side along one axis."""

    least_inputs, most_inputs = 2, None
    keeps = NOTHING

    def resolve(self, layer: Concat, shapes: Shapes) -> Concat:
        axis = resolve_axis(layer.axis, shapes[0], "axis")
        name = "the channels" if axis == 1 else f"axis {axis}"
        for position, shape in enumerate(shapes):
            if _others(shape, axis) != _others(shapes[0], axis):
                raise ShapeError(
                    f"input {position} has shape {batched(shape)}, but input 0 has "
                    f"{batched(shapes[0])}; all axes but {name} must be equal",
                    metadata={"position": position, "value": shape, "limit": shapes[0]},
                )
        return evolve(layer, axis=axis)

    def output_shape(self, layer: Concat, shapes: Shapes) -> Shape:
        at = layer.axis - 1
        return (*shapes[0][:at], sum(shape[at] for shape in shapes), *shapes[0][at + 1 :])

    def places(self, layer: Concat, shapes: Shapes) -> tuple[int | None, ...]:
        """Along the joined axis an element's place tells no longer where it comes from."""
        return tuple(None if at == layer.axis - 1 else at for at in range(len(shapes[0])))

    def mixes_channels(self, layer: Concat, shapes: Shapes) -> bool:
        return False

    def can_cut(self, layer: Concat, shapes: Shapes, axis: int) -> bool:
        return axis != layer.axis

    def explain(self, given: Concat, layer: Concat, shapes: Shapes) -> tuple[str, ...]:
        at = layer.axis - 1
        sizes = [shape[at] for shape in shapes]
        name = "C" if at == 0 else f"size[{layer.axis}]"
        return (f"{name}' = sum({name}) = {' + '.join(map(str, sizes))} = {sum(sizes)}",)


def _broadcasts(shape: Shape, first: Shape) -> bool:
    return len(shape) == len(first) and all(
        a == b or 1 in (a, b) for a, b in zip(shape, first, strict=True)
    )


def _others(shape: Shape, axis: int) -> tuple[Shape, Shape]:
    return shape[: axis - 1], shape[axis:]
