"""Layers that join several inputs."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math

from convserve.errors import ShapeError
from convserve.layers import Add, Concat
from convserve.tensors import Shape

from convserve_server.planning.axes import batched
from convserve_server.planning.dtypes import NUMBERS
from convserve_server.planning.layers.rule import Rule, Shapes, Work


class AddRule(Rule[Add]):
    """The elementwise sum. NumPy's sum of bools is an `or`, so they are refused."""

    joins = True
    takes = NUMBERS

    def resolve(self, layer: Add, shapes: Shapes) -> Add:
        for position, shape in enumerate(shapes):
            if shape != shapes[0]:
                raise ShapeError(
                    f"input {position} has shape {batched(shape)}, but input 0 has "
                    f"{batched(shapes[0])}; only equal shapes are added",
                    metadata={"position": position, "value": shape, "limit": shapes[0]},
                )
        return layer

    def work(self, layer: Add, shapes: Shapes) -> Work:
        count = (len(shapes) - 1) * math.prod(shapes[0])
        return Work(count, f"{len(shapes)} - 1 additions per element")


class ConcatRule(Rule[Concat]):
    """Side by side along the channels."""

    joins = True

    def resolve(self, layer: Concat, shapes: Shapes) -> Concat:
        for position, shape in enumerate(shapes):
            if shape[1:] != shapes[0][1:]:
                raise ShapeError(
                    f"input {position} has shape {batched(shape)}, but input 0 has "
                    f"{batched(shapes[0])}; all axes but the channels must be equal",
                    metadata={"position": position, "value": shape, "limit": shapes[0]},
                )
        return layer

    def output_shape(self, layer: Concat, shapes: Shapes) -> Shape:
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])

    def explain(self, given: Concat, layer: Concat, shapes: Shapes) -> tuple[str, ...]:
        channels = " + ".join(str(shape[0]) for shape in shapes)
        return (f"C' = sum(C) = {channels} = {sum(shape[0] for shape in shapes)}",)
