"""Layers that move elements without computing: padding, pixel shuffles."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve
from convserve.errors import ShapeError
from convserve.layers import Pad, PixelShuffle, PixelUnshuffle
from convserve.layers.fields import Pairs
from convserve.tensors import Shape

from convserve_server.planning.axes import (
    axis_names,
    check_border,
    product,
    resolve_padding,
    spatial,
)
from convserve_server.planning.dtypes import check_holds
from convserve_server.planning.layers.resize import repeating
from convserve_server.planning.layers.rule import INPUT, NOTHING, Kept, Rule, Shapes
from convserve_server.planning.receptive_field import Reach
from convserve_server.planning.windows import Window


class PadRule(Rule[Pad]):
    """Elements around the spatial axes."""

    def resolve(self, layer: Pad, shapes: Shapes) -> Pad:
        lengths = spatial(shapes[0])
        padding = _pairs(layer, lengths)
        check_border(layer.mode, padding, lengths)
        return evolve(layer, padding=padding)

    def output_shape(self, layer: Pad, shapes: Shapes) -> Shape:
        channels, *lengths = shapes[0]
        pairs = _pairs(layer, tuple(lengths))
        return (channels, *(low + n + high for n, (low, high) in zip(lengths, pairs, strict=True)))

    def output_dtype(self, layer: Pad, dtypes: Sequence[str]) -> str:
        if layer.mode == "zeros":
            check_holds(dtypes[0], layer.value, "value")
        return dtypes[0]

    def kept(self, layer: Pad, shapes: Shapes) -> Kept:
        return INPUT if layer.mode in ("reflect", "replicate") else NOTHING

    def reach(self, layer: Pad, shapes: Shapes) -> tuple[Reach, ...]:
        return tuple(Reach(low=low) for low, _ in _pairs(layer, shapes[0][1:]))

    def explain(self, given: Pad, layer: Pad, shapes: Shapes) -> tuple[str, ...]:
        lengths = shapes[0][1:]
        rows = zip(axis_names(len(lengths)), lengths, _pairs(layer, lengths), strict=True)
        return tuple(
            f"{axis}: L' = low + L + high = {low} + {n} + {high} = {low + n + high}"
            for axis, n, (low, high) in rows
        )


class PixelShuffleRule(Rule[PixelShuffle]):
    """Channels to space."""

    keeps = NOTHING

    def resolve(self, layer: PixelShuffle, shapes: Shapes) -> PixelShuffle:
        block = layer.factor ** len(spatial(shapes[0]))
        if shapes[0][0] % block:
            raise ShapeError(
                f"{shapes[0][0]} channels are not divisible by {block}, which is factor "
                f"{layer.factor} to the power of {len(shapes[0]) - 1} spatial axes; use another "
                "factor, or a multiple of that many channels",
                field="factor",
                metadata={"value": shapes[0][0], "limit": block},
            )
        return layer

    def output_shape(self, layer: PixelShuffle, shapes: Shapes) -> Shape:
        channels, *lengths = shapes[0]
        return (channels // layer.factor ** len(lengths), *(n * layer.factor for n in lengths))

    def reach(self, layer: PixelShuffle, shapes: Shapes) -> tuple[Reach, ...]:
        return (repeating(layer.factor),) * (len(shapes[0]) - 1)

    def explain(self, given: PixelShuffle, layer: PixelShuffle, shapes: Shapes) -> tuple[str, ...]:
        channels, *lengths = shapes[0]
        result = self.output_shape(layer, shapes)
        return (
            f"C' = C / factor^axes = {channels} / {layer.factor}^{len(lengths)} = {result[0]}",
            f"L' = L * factor = {product(lengths)} * {layer.factor} each = {product(result[1:])}",
        )


class PixelUnshuffleRule(Rule[PixelUnshuffle]):
    """Space to channels."""

    keeps = NOTHING

    def resolve(self, layer: PixelUnshuffle, shapes: Shapes) -> PixelUnshuffle:
        lengths = spatial(shapes[0])
        for axis, length in zip(axis_names(len(lengths)), lengths, strict=True):
            if length % layer.factor:
                raise ShapeError(
                    f"the {axis} of {length} is not divisible by factor {layer.factor}; pad or "
                    "crop it first",
                    field="factor",
                    metadata={"value": length, "limit": layer.factor},
                )
        return layer

    def output_shape(self, layer: PixelUnshuffle, shapes: Shapes) -> Shape:
        channels, *lengths = shapes[0]
        return (channels * layer.factor ** len(lengths), *(n // layer.factor for n in lengths))

    def reach(self, layer: PixelUnshuffle, shapes: Shapes) -> tuple[Reach, ...]:
        return (Reach(span=layer.factor, stride=layer.factor),) * (len(shapes[0]) - 1)

    def explain(
        self, given: PixelUnshuffle, layer: PixelUnshuffle, shapes: Shapes
    ) -> tuple[str, ...]:
        channels, *lengths = shapes[0]
        result = self.output_shape(layer, shapes)
        return (
            f"C' = C * factor^axes = {channels} * {layer.factor}^{len(lengths)} = {result[0]}",
            f"L' = L / factor = {product(lengths)} / {layer.factor} each = {product(result[1:])}",
        )


def _pairs(layer: Pad, lengths: Shape) -> Pairs:
    return resolve_padding(layer.padding, [Window(length, kernel_size=1) for length in lengths])
