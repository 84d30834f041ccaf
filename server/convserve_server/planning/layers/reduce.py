"""Means, maxima and sums over some axes."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from attrs import evolve
from convserve.errors import InvalidLayerError
from convserve.layers import ReduceMax, ReduceMean, ReduceSum
from convserve.tensors import Shape

from convserve_server.planning.axes import along, batched, product, resolve_axis
from convserve_server.planning.dtypes import FRACTIONS, INTEGER, NUMBERS, REAL, dtype_class
from convserve_server.planning.layers.rule import NOTHING, Kept, Rule, Shapes, Work
from convserve_server.planning.receptive_field import Reach

R = TypeVar("R", bound=ReduceMean | ReduceMax | ReduceSum)


class ReduceRule(Rule[R]):
    """What the reductions share. An element of the result sees all of the reduced axes."""

    operation = "1 per element"
    keeps = NOTHING

    def resolve(self, layer: R, shapes: Shapes) -> R:
        axes = tuple(sorted({resolve_axis(axis, shapes[0], "axes") for axis in layer.axes}))
        if len(axes) == len(shapes[0]) and not layer.keepdims:
            raise InvalidLayerError(
                f"all axes of {batched(shapes[0])} would go, and a result has at least one beside "
                "the batch; use keepdims",
                field="keepdims",
                metadata={"axes": axes},
            )
        return evolve(layer, axes=axes)

    def output_shape(self, layer: R, shapes: Shapes) -> Shape:
        sizes = enumerate(shapes[0], start=1)
        if layer.keepdims:
            return tuple(1 if axis in layer.axes else size for axis, size in sizes)
        return tuple(size for axis, size in sizes if axis not in layer.axes)

    def work(self, layer: R, shapes: Shapes) -> Work:
        return Work(math.prod(shapes[0]), self.operation)

    def reach(self, layer: R, shapes: Shapes) -> tuple[Reach, ...]:
        return along(layer.axes, shapes[0])

    def places(self, layer: R, shapes: Shapes) -> tuple[int | None, ...] | None:
        if layer.keepdims:
            return None
        kept = [axis for axis in range(1, len(shapes[0]) + 1) if axis not in layer.axes]
        return tuple(
            kept.index(axis) if axis in kept else None for axis in range(1, len(shapes[0]) + 1)
        )

    def mixes_channels(self, layer: R, shapes: Shapes) -> bool:
        return 1 in layer.axes

    def can_cut(self, layer: R, shapes: Shapes, axis: int) -> bool:
        return axis not in layer.axes

    def explain(self, given: R, layer: R, shapes: Shapes) -> tuple[str, ...]:
        sizes = tuple(shapes[0][axis - 1] for axis in layer.axes)
        result = batched(self.output_shape(layer, shapes))
        return (f"{batched(shapes[0])} over axes {layer.axes}, {product(sizes)} each, is {result}",)


class ReduceMeanRule(ReduceRule[ReduceMean]):
    """The mean."""

    takes = FRACTIONS
    operation = "additions and 1 division: 1 per element"


class ReduceMaxRule(ReduceRule[ReduceMax]):
    """The maximum."""

    takes = REAL
    operation = "comparisons, 1 per element"
    keeps = Kept(inputs=(0,), output=True)


class ReduceSumRule(ReduceRule[ReduceSum]):
    """The sum; of integers in 64 bits, as NumPy and PyTorch have it."""

    takes = NUMBERS
    operation = "additions, 1 per element"

    def output_dtype(self, layer: ReduceSum, dtypes: Sequence[str]) -> str:
        return "int64" if dtype_class(dtypes[0]) == INTEGER else dtypes[0]
