"""Resizing: where each element of the result lies among those of the input.

Formulas: ONNX Resize (operator set 19); PyTorch's are the same numbers (aten UpSample.h).
"""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from attrs import evolve
from convserve.errors import InvalidLayerError
from convserve.layers import Upsample
from convserve.tensors import Shape

from convserve_server.planning.axes import axis_names, spatial, spread
from convserve_server.planning.dtypes import ANY, FRACTIONS, check_takes
from convserve_server.planning.layers.rule import NOTHING, Rule, Shapes, Work
from convserve_server.planning.receptive_field import Reach

TAPS = {"nearest": 1, "linear": 2, "cubic": 4}
MOST_AXES = {"nearest": 3, "linear": 3, "cubic": 2}
_FORMULAS = {
    "half_pixel": "(x + 0.5) * {old} / {new} - 0.5",
    "pytorch_half_pixel": "(x + 0.5) * {old} / {new} - 0.5 (0 for a new size of 1)",
    "asymmetric": "x * {old} / {new}",
    "align_corners": "x * ({old} - 1) / ({new} - 1) (0 for a new size of 1)",
}
# Rounding to the nearest is rounding down, or up, of a place half an element further.
_SHIFTS = {
    "floor": Fraction(0),
    "ceil": Fraction(0),
    "round_prefer_floor": Fraction(-1, 2),
    "round_prefer_ceil": Fraction(1, 2),
}


class UpsampleRule(Rule[Upsample]):
    """Nearest, linear or cubic."""

    keeps = NOTHING

    def resolve(self, layer: Upsample, shapes: Shapes) -> Upsample:
        rank = len(spatial(shapes[0]))
        if rank > MOST_AXES[layer.mode]:
            raise InvalidLayerError(
                f"cubic takes 1 or 2 spatial axes, but the input has {rank}; use linear",
                field="mode",
                metadata={"value": layer.mode, "axes": rank, "limit": MOST_AXES[layer.mode]},
            )
        given = "size" if layer.scale is None else "scale"
        layer = evolve(layer, coordinates=layer.coordinates or _coordinates(layer))
        return spread(evolve(layer, rounding=layer.rounding or "floor"), rank, given)

    def output_shape(self, layer: Upsample, shapes: Shapes) -> Shape:
        channels, *lengths = shapes[0]
        if layer.size is not None:
            return (channels, *layer.size)
        return (channels, *(n * s for n, s in zip(lengths, layer.scale or (), strict=True)))

    def output_dtype(self, layer: Upsample, dtypes: Sequence[str]) -> str:
        takes = ANY if layer.mode == "nearest" else FRACTIONS
        check_takes(takes, {f"the input of mode {layer.mode}": dtypes[0]})
        return dtypes[0]

    def work(self, layer: Upsample, shapes: Shapes) -> Work:
        if layer.mode == "nearest":
            return Work()
        taps = TAPS[layer.mode] ** (len(shapes[0]) - 1)
        count = math.prod(self.output_shape(layer, shapes)) * (2 * taps - 1)
        return Work(count, f"{taps} products and {taps} - 1 sums per output element")

    def reach(self, layer: Upsample, shapes: Shapes) -> tuple[Reach, ...]:
        if is_repeating(layer):
            return tuple(repeating(scale) for scale in layer.scale or ())
        sizes = zip(shapes[0][1:], self.output_shape(layer, shapes)[1:], strict=True)
        return tuple(_reach(layer, old, new) for old, new in sizes)

    def mixes_channels(self, layer: Upsample, shapes: Shapes) -> bool:
        return False

    def can_cut(self, layer: Upsample, shapes: Shapes, axis: int) -> bool:
        return is_repeating(layer)

    def explain(self, given: Upsample, layer: Upsample, shapes: Shapes) -> tuple[str, ...]:
        lengths, sizes = shapes[0][1:], self.output_shape(layer, shapes)[1:]
        scales = layer.scale or (None,) * len(sizes)
        lines = []
        for axis, old, new, scale in zip(
            axis_names(len(sizes)), lengths, sizes, scales, strict=True
        ):
            formula = f"size = {new}" if scale is None else f"L * scale = {old} * {scale} = {new}"
            lines.append(f"{axis}: L' = {formula}")
            if not is_repeating(layer):
                place = _FORMULAS[str(layer.coordinates)].format(old=old, new=new)
                lines.append(f"{axis}: element x lies at {place}, as {layer.coordinates} has it")
        return tuple(lines)


def is_repeating(layer: Upsample) -> bool:
    """Whether a resolved layer repeats every element `scale` times."""
    how = (layer.mode, layer.coordinates, layer.rounding)
    return layer.scale is not None and how == ("nearest", "asymmetric", "floor")


def repeating(scale: int) -> Reach:
    """Output o copies input floor(o / scale)."""
    return Reach(span=scale, low=scale - 1, up=scale)


def source_place(coordinates: str, x: int, old: int, new: int) -> Fraction:
    """Where element `x` of an axis of `new` elements lies among `old` ones, exactly."""
    if new == 1 and coordinates in ("align_corners", "pytorch_half_pixel"):
        return Fraction(0)
    if coordinates == "align_corners":
        return Fraction(x * (old - 1), new - 1)
    if coordinates == "asymmetric":
        return Fraction(x * old, new)
    return Fraction((2 * x + 1) * old - new, 2 * new)


def _coordinates(layer: Upsample) -> str:
    if layer.mode == "nearest":
        return "asymmetric"
    return "align_corners" if layer.align_corners else "half_pixel"


def _reach(layer: Upsample, old: int, new: int) -> Reach:
    """Which elements weigh in, on a grid on which both the old and the new ones lie."""
    if old == 1:
        return Reach(stride=0)
    coordinates, taps = str(layer.coordinates), TAPS[layer.mode]
    first = source_place(coordinates, 0, old, new) + _SHIFTS[str(layer.rounding)] * (taps == 1)
    step = source_place(coordinates, 1, old, new) - source_place(coordinates, 0, old, new)
    up = math.lcm(first.denominator, step.denominator)
    place, stride = int(first * up), int(step * up) if new > 1 else up
    if taps > 1:
        return Reach(taps * up - 1, stride, low=taps // 2 * up - 1 - place, up=up)
    rounds_up = layer.rounding in ("ceil", "round_prefer_floor")
    return Reach(up, stride, low=-place if rounds_up else up - 1 - place, up=up)
