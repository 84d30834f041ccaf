"""Windows as columns, and columns added into windows: PyTorch's rules."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import evolve
from convserve.errors import ShapeError
from convserve.layers import Conv, Fold, Unfold
from convserve.tensors import Shape

from convserve_server.planning.axes import (
    batched,
    check_fits,
    explain_windows,
    product,
    resolve_padding,
    spread,
    windows_of,
)
from convserve_server.planning.dtypes import NUMBERS, promote
from convserve_server.planning.equivalents import sliding
from convserve_server.planning.layers.conv_like import ConvLikeRule
from convserve_server.planning.layers.rule import NOTHING, Rule, Shapes, Work
from convserve_server.planning.receptive_field import AxisFields, Reach
from convserve_server.planning.windows import Window


class UnfoldRule(ConvLikeRule[Unfold]):
    """(C, *L) to (C * prod(kernel_size), windows)."""

    keeps = NOTHING

    def as_conv(self, layer: Unfold, shape: Shape) -> Conv:
        return sliding(layer)

    def output_shape(self, layer: Unfold, shapes: Shapes) -> Shape:
        counts = super().output_shape(layer, shapes)[1:]
        return (shapes[0][0] * math.prod(layer.kernel_size), math.prod(counts))

    def output_dtype(self, layer: Unfold, dtypes: Sequence[str]) -> str:
        return dtypes[0]

    def weight_shapes(self, layer: Unfold, shapes: Shapes) -> tuple[Shape, ...]:
        return ()

    def mac_count(self, layer: Unfold, shapes: Shapes) -> int:
        return 0

    def field(
        self, layer: Unfold, shapes: Shapes, reaches: Sequence[Reach], before: AxisFields | None
    ) -> AxisFields | None:
        """Of one axis only: the columns of several have no common distance."""
        return super().field(layer, shapes, reaches, before) if len(shapes[0]) == 2 else None

    def can_cut(self, layer: Unfold, shapes: Shapes, axis: int) -> bool:
        return False

    def explain(self, given: Unfold, layer: Unfold, shapes: Shapes) -> tuple[str, ...]:
        channels = shapes[0][0]
        windows = windows_of(sliding(layer), shapes[0])
        rows, columns = self.output_shape(layer, shapes)
        counts = product([window.count for window in windows])
        return (
            *explain_windows(given.padding, windows),
            f"rows = C * prod(kernel_size) = {channels} * {product(layer.kernel_size)} = {rows}",
            f"columns = prod(L') = {counts} = {columns}",
        )


class FoldRule(Rule[Fold]):
    """(C * prod(kernel_size), windows) to (C, *output_size)."""

    takes = NUMBERS
    keeps = NOTHING

    def resolve(self, layer: Fold, shapes: Shapes) -> Fold:
        if len(shapes[0]) != 2:
            raise ShapeError(
                f"the input {batched(shapes[0])} has rank {len(shapes[0]) + 1}, but fold reads "
                "rank 3, (N, C * prod(kernel_size), windows)",
                metadata={"rank": len(shapes[0]) + 1, "limit": 3},
            )
        layer = spread(layer, len(layer.output_size), "kernel_size", "stride", "dilation")
        blank = [Window(length, kernel_size=1) for length in layer.output_size]
        layer = evolve(layer, padding=resolve_padding(layer.padding, blank))
        check_fits(_windows(layer))
        _check_columns(layer, shapes[0])
        return layer

    def output_shape(self, layer: Fold, shapes: Shapes) -> Shape:
        return (shapes[0][0] // math.prod(layer.kernel_size), *layer.output_size)

    def output_dtype(self, layer: Fold, dtypes: Sequence[str]) -> str:
        return promote(dtypes)

    def work(self, layer: Fold, shapes: Shapes) -> Work:
        return Work(math.prod(shapes[0]), "one addition per element of the columns")

    def field(
        self, layer: Fold, shapes: Shapes, reaches: Sequence[Reach], before: AxisFields | None
    ) -> AxisFields | None:
        return None

    def can_cut(self, layer: Fold, shapes: Shapes, axis: int) -> bool:
        return False

    def explain(self, given: Fold, layer: Fold, shapes: Shapes) -> tuple[str, ...]:
        rows, columns = shapes[0]
        windows = _windows(layer)
        counts = product([window.count for window in windows])
        taps = product(layer.kernel_size)
        return (
            *explain_windows(layer.padding, windows),
            (
                f"C = rows / prod(kernel_size) = {rows} / {taps} = "
                f"{self.output_shape(layer, shapes)[0]}"
            ),
            f"windows = prod(L') = {counts} = {columns}",
        )


def _windows(layer: Fold) -> tuple[Window, ...]:
    """The windows that slide over the result."""
    conv = Conv(1, layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    return windows_of(conv, (1, *layer.output_size))


def _check_columns(layer: Fold, shape: Shape) -> None:
    """Raise ShapeError unless there is a column for each window, of whole channels."""
    taps, count = math.prod(layer.kernel_size), math.prod(w.count for w in _windows(layer))
    if shape[0] % taps:
        raise ShapeError(
            f"{shape[0]} rows are not divisible by prod(kernel_size) = {taps}; every channel has "
            "so many",
            field="kernel_size",
            metadata={"value": shape[0], "limit": taps},
        )
    if shape[1] != count:
        raise ShapeError(
            f"the input has {shape[1]} columns, but {count} windows slide over output_size "
            f"{layer.output_size}; give as many columns as windows, or another output_size",
            field="output_size",
            metadata={"value": shape[1], "limit": count},
        )
