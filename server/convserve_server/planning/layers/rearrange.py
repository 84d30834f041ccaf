"""Layers that move elements without computing: padding, upsampling, pixel shuffles."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve
from convserve.errors import DTypeError, ShapeError
from convserve.layers import Pad, PixelShuffle, PixelUnshuffle, Upsample
from convserve.layers.fields import Pairs
from convserve.tensors import Shape

from convserve_server.planning.axes import (
    axis_names,
    check_border,
    product,
    resolve_padding,
    spatial,
    spread,
)
from convserve_server.planning.dtypes import holds
from convserve_server.planning.layers.rule import Rule, Shapes
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
        if layer.mode == "zeros" and not holds(dtypes[0], layer.value):
            raise DTypeError(
                f"value {layer.value} is not an element of {dtypes[0]}; use a value of that type, "
                "or cast the input to float32",
                field="value",
                metadata={"value": layer.value, "dtype": dtypes[0]},
            )
        return dtypes[0]

    def reach(self, layer: Pad, shapes: Shapes) -> tuple[Reach, ...]:
        return tuple(Reach(low=low) for low, _ in _pairs(layer, shapes[0][1:]))

    def explain(self, given: Pad, layer: Pad, shapes: Shapes) -> tuple[str, ...]:
        lengths = shapes[0][1:]
        rows = zip(axis_names(len(lengths)), lengths, _pairs(layer, lengths), strict=True)
        return tuple(
            f"{axis}: L' = low + L + high = {low} + {n} + {high} = {low + n + high}"
            for axis, n, (low, high) in rows
        )


class UpsampleRule(Rule[Upsample]):
    """Nearest neighbour."""

    def resolve(self, layer: Upsample, shapes: Shapes) -> Upsample:
        return spread(layer, len(spatial(shapes[0])), "scale")

    def output_shape(self, layer: Upsample, shapes: Shapes) -> Shape:
        channels, *lengths = shapes[0]
        return (channels, *(n * scale for n, scale in zip(lengths, layer.scale, strict=True)))

    def reach(self, layer: Upsample, shapes: Shapes) -> tuple[Reach, ...]:
        return tuple(_upsampling(scale) for scale in layer.scale)

    def explain(self, given: Upsample, layer: Upsample, shapes: Shapes) -> tuple[str, ...]:
        lengths = shapes[0][1:]
        return tuple(
            f"{axis}: L' = L * scale = {n} * {scale} = {n * scale}"
            for axis, n, scale in zip(axis_names(len(lengths)), lengths, layer.scale, strict=True)
        )


class PixelShuffleRule(Rule[PixelShuffle]):
    """Channels to space."""

    def resolve(self, layer: PixelShuffle, shapes: Shapes) -> PixelShuffle:
        block = layer.factor ** len(spatial(shapes[0]))
        if shapes[0][0] % block:
            raise ShapeError(
                f"{shapes[0][0]} channels are not divisible by {block}, which is factor "
                f"{layer.factor} to the power of {len(shapes[0]) - 1} spatial axes",
                field="factor",
                metadata={"value": shapes[0][0], "limit": block},
            )
        return layer

    def output_shape(self, layer: PixelShuffle, shapes: Shapes) -> Shape:
        channels, *lengths = shapes[0]
        return (channels // layer.factor ** len(lengths), *(n * layer.factor for n in lengths))

    def reach(self, layer: PixelShuffle, shapes: Shapes) -> tuple[Reach, ...]:
        return (_upsampling(layer.factor),) * (len(shapes[0]) - 1)

    def explain(self, given: PixelShuffle, layer: PixelShuffle, shapes: Shapes) -> tuple[str, ...]:
        channels, *lengths = shapes[0]
        result = self.output_shape(layer, shapes)
        return (
            f"C' = C / factor^axes = {channels} / {layer.factor}^{len(lengths)} = {result[0]}",
            f"L' = L * factor = {product(lengths)} * {layer.factor} each = {product(result[1:])}",
        )


class PixelUnshuffleRule(Rule[PixelUnshuffle]):
    """Space to channels."""

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


def _upsampling(scale: int) -> Reach:
    """Output o copies input floor(o / scale)."""
    return Reach(span=scale, low=scale - 1, up=scale)


def _pairs(layer: Pad, lengths: Shape) -> Pairs:
    return resolve_padding(layer.padding, [Window(length, kernel_size=1) for length in lengths])
