"""Where maxima were, and values put back there. Sizes of unpooling: PyTorch's and ONNX's rule."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import evolve
from convserve.errors import DTypeError, ShapeError
from convserve.layers import MaxPoolIndices, MaxUnpool
from convserve.tensors import Shape

from convserve_server.planning.axes import (
    axis_names,
    batched,
    check_result,
    resolve_padding,
    spatial,
    spread,
)
from convserve_server.planning.dtypes import INTEGER, NUMBERS, REAL, dtype_class
from convserve_server.planning.layers.pool import WindowPoolRule
from convserve_server.planning.layers.rule import NOTHING, Kept, Rule, Shapes, Work
from convserve_server.planning.receptive_field import Reach
from convserve_server.planning.windows import Window


class MaxPoolIndicesRule(WindowPoolRule[MaxPoolIndices]):
    """The place of each maximum."""

    takes = REAL
    keeps = NOTHING

    def output_dtype(self, layer: MaxPoolIndices, dtypes: Sequence[str]) -> str:
        return "int64"

    def work(self, layer: MaxPoolIndices, shapes: Shapes) -> Work:
        taps = math.prod(layer.kernel_size)
        count = math.prod(self.output_shape(layer, shapes)) * (taps - 1)
        return Work(count, f"comparisons, {taps} - 1 per output element")

    def can_cut(self, layer: MaxPoolIndices, shapes: Shapes, axis: int) -> bool:
        return False  # an index counts from the start of the whole


class MaxUnpoolRule(Rule[MaxUnpool]):
    """Values in their places. Reads them, and their indices."""

    least_inputs, most_inputs = 2, 2
    takes = NUMBERS
    keeps = Kept(inputs=(1,))

    def resolve(self, layer: MaxUnpool, shapes: Shapes) -> MaxUnpool:
        rank = len(spatial(shapes[0]))
        if shapes[1] != shapes[0]:
            raise ShapeError(
                f"the indices have shape {batched(shapes[1])}, but the values "
                f"{batched(shapes[0])}; give one index for each value",
                metadata={"value": shapes[1], "limit": shapes[0]},
            )
        layer = evolve(layer, stride=layer.stride or layer.kernel_size)
        layer = spread(layer, rank, "kernel_size", "stride")
        windows = [Window(length, kernel_size=1) for length in shapes[0][1:]]
        layer = evolve(layer, padding=resolve_padding(layer.padding, windows))
        if layer.output_size is not None:
            layer = spread(layer, rank, "output_size")
        check_result(self.output_shape(layer, shapes))
        return layer

    def output_shape(self, layer: MaxUnpool, shapes: Shapes) -> Shape:
        if layer.output_size is not None:
            return (shapes[0][0], *layer.output_size)
        return (shapes[0][0], *(window.transposed_length for window in _windows(layer, shapes)))

    def output_dtype(self, layer: MaxUnpool, dtypes: Sequence[str]) -> str:
        if dtype_class(dtypes[1]) != INTEGER:
            raise DTypeError(
                f"the indices are {dtypes[1]}, but must be integers, as max_pool_indices gives; "
                "name it as the second input",
                metadata={"value": dtypes[1], "takes": INTEGER},
            )
        return dtypes[0]

    def reach(self, layer: MaxUnpool, shapes: Shapes) -> tuple[Reach, ...]:
        """Each element sees the windows of the pool that cover it."""
        return tuple(
            Reach(span=w.span, low=w.span - 1 - w.low, up=w.stride) for w in _windows(layer, shapes)
        )

    def mixes_channels(self, layer: MaxUnpool, shapes: Shapes) -> bool:
        return False

    def can_cut(self, layer: MaxUnpool, shapes: Shapes, axis: int) -> bool:
        return False  # an index counts from the start of the whole

    def explain(self, given: MaxUnpool, layer: MaxUnpool, shapes: Shapes) -> tuple[str, ...]:
        windows = _windows(layer, shapes)
        lines = []
        for axis, window in zip(axis_names(len(windows)), windows, strict=True):
            numbers = (
                f"({window.length} - 1) * {window.stride} - {window.low} - {window.high} + "
                f"{window.kernel_size} = {window.transposed_length}"
            )
            lines.append(f"{axis}: L' = (L - 1) * stride - low - high + kernel_size = {numbers}")
        if layer.output_size is not None:
            lines.append(f"output_size asks for {layer.output_size} instead")
        return tuple(lines)


def _windows(layer: MaxUnpool, shapes: Shapes) -> tuple[Window, ...]:
    assert not isinstance(layer.padding, str)
    strides = layer.stride or layer.kernel_size
    rows = zip(shapes[0][1:], layer.kernel_size, strides, layer.padding, strict=True)
    return tuple(
        Window(length, kernel, stride, low=low, high=high)
        for length, kernel, stride, (low, high) in rows
    )
