"""Pooling over windows: PyTorch's rules (ATen/native/Pool.h), and the `same` modes."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math
from typing import TypeVar

from convserve.errors import InvalidLayerError
from convserve.layers import (
    AvgPool,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool,
)
from convserve.layers.fields import Ints, Pairs, settle
from convserve.layers.pool import WindowPool
from convserve.tensors import Shape

from convserve_server.planning.axes import (
    check_fits,
    explain_count,
    explain_windows,
    padding_of,
    per_axis,
    product,
    spatial,
    spread,
    windows_of,
)
from convserve_server.planning.dtypes import FRACTIONS, REAL
from convserve_server.planning.layers.rule import NOTHING, Kept, L, Rule, Shapes, Work
from convserve_server.planning.receptive_field import Reach
from convserve_server.planning.windows import Window

P = TypeVar("P", bound=WindowPool | AvgPool)


class WindowPoolRule(Rule[P]):
    """What all kinds of pools over windows share: everything but their arithmetic."""

    def resolve(self, layer: P, shapes: Shapes) -> P:
        lengths = spatial(shapes[0])
        layer = settle(layer, stride=layer.stride or layer.kernel_size)
        layer = spread(layer, len(lengths), "kernel_size", "stride", "dilation")
        if isinstance(layer.padding, str):  # `same` makes whole windows: nothing to round up
            layer = settle(layer, ceil_mode=layer.ceil_mode and layer.padding == "valid")
        else:
            _check_padding(per_axis(layer.padding, len(lengths), "padding"), layer.kernel_size)
        padding = padding_of(layer, shapes[0])
        layer = settle(layer, padding=padding)
        check_fits(windows_of(layer, shapes[0]))
        return layer

    def output_shape(self, layer: P, shapes: Shapes) -> Shape:
        windows = windows_of(layer, shapes[0])
        counts = (w.ceil_count if layer.ceil_mode else w.count for w in windows)
        return (shapes[0][0], *counts)

    def reach(self, layer: P, shapes: Shapes) -> tuple[Reach, ...]:
        return tuple(Reach(w.span, w.stride, w.low) for w in windows_of(layer, shapes[0]))

    def mixes_channels(self, layer: P, shapes: Shapes) -> bool:
        return False

    def explain(self, given: P, layer: P, shapes: Shapes) -> tuple[str, ...]:
        explain_size = _explain_ceil if layer.ceil_mode else explain_count
        return tuple(explain_windows(given.padding, windows_of(layer, shapes[0]), explain_size))


class MaxPoolRule(WindowPoolRule[MaxPool]):
    """The maximum over windows."""

    takes = REAL

    def kept(self, layer: MaxPool, shapes: Shapes) -> Kept:
        count = math.prod(self.output_shape(layer, shapes))
        return Kept(inputs=(0,), sample_indices=count)

    def work(self, layer: MaxPool, shapes: Shapes) -> Work:
        taps = math.prod(layer.kernel_size)
        count = math.prod(self.output_shape(layer, shapes)) * (taps - 1)
        return Work(count, f"comparisons, {taps} - 1 per output element")


class AvgPoolRule(WindowPoolRule[AvgPool]):
    """The mean over windows."""

    takes = FRACTIONS

    def work(self, layer: AvgPool, shapes: Shapes) -> Work:
        taps = math.prod(layer.kernel_size)
        count = math.prod(self.output_shape(layer, shapes)) * taps
        return Work(count, f"{taps} - 1 additions and 1 division per output element")


class GlobalPoolRule(Rule[L]):
    """One value per channel, of all its positions; the spatial axes stay with size 1."""

    def resolve(self, layer: L, shapes: Shapes) -> L:
        spatial(shapes[0])
        return layer

    def output_shape(self, layer: L, shapes: Shapes) -> Shape:
        return (shapes[0][0], *(1 for _ in shapes[0][1:]))

    def reach(self, layer: L, shapes: Shapes) -> tuple[Reach, ...]:
        return tuple(Reach(span=length, stride=0) for length in shapes[0][1:])

    def mixes_channels(self, layer: L, shapes: Shapes) -> bool:
        return False

    def explain(self, given: L, layer: L, shapes: Shapes) -> tuple[str, ...]:
        return (f"L' = 1: one value of all {product(shapes[0][1:])} positions of a channel",)


class GlobalAvgPoolRule(GlobalPoolRule[GlobalAvgPool]):
    """The mean over all spatial axes."""

    takes = FRACTIONS
    keeps = NOTHING

    def work(self, layer: GlobalAvgPool, shapes: Shapes) -> Work:
        return Work(math.prod(shapes[0]), "prod(L) - 1 additions and 1 division per channel")


class GlobalMaxPoolRule(GlobalPoolRule[GlobalMaxPool]):
    """The maximum over all spatial axes."""

    takes = REAL
    keeps = Kept(inputs=(0,), output=True)

    def work(self, layer: GlobalMaxPool, shapes: Shapes) -> Work:
        count = shapes[0][0] * (math.prod(shapes[0][1:]) - 1)
        return Work(count, "prod(L) - 1 comparisons per channel")


def _check_padding(padding: Pairs, kernel_size: Ints) -> None:
    """As much padding as a whole window could leave a window with nothing but padding."""
    for pair, kernel in zip(padding, kernel_size, strict=True):
        if max(pair) >= kernel:
            raise InvalidLayerError(
                f"padding {max(pair)} is not less than the kernel {kernel}; use at most "
                f"{kernel - 1}, or a Pad layer before the pool",
                field="padding",
                metadata={"value": max(pair), "limit": kernel - 1},
            )


def _explain_ceil(window: Window) -> str:
    numbers = f"{window.length} + {window.low} + {window.high} - {window.span}"
    return (
        "L' = ceil((L + low + high - e) / stride) + 1 = "
        f"ceil(({numbers}) / {window.stride}) + 1, less 1 if the last window would start at or "
        f"after L + low = {window.length + window.low}: {window.ceil_count}"
    )
