"""Normalisation by the input's own statistics, and factors along an axis."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math
from typing import TypeVar

from attrs import evolve
from convserve.errors import InvalidLayerError, ShapeError
from convserve.layers import GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm, Scale
from convserve.layers.fields import settle
from convserve.tensors import Shape

from convserve_server.planning.axes import batched, product, resolve_axis, spatial
from convserve_server.planning.dtypes import COMPLEX, FLOATING, FRACTIONS
from convserve_server.planning.layers.rule import Kept, Rule, Shapes, Work

S = TypeVar("S", bound=LayerNorm | GroupNorm | InstanceNorm)

_MEANING = "2 per element for the mean and the difference, 2 for the variance, 1 for the division"


class LocalResponseNormRule(Rule[LocalResponseNorm]):
    """Across neighbouring channels."""

    takes = FRACTIONS

    def resolve(self, layer: LocalResponseNorm, shapes: Shapes) -> LocalResponseNorm:
        before, after = layer.window
        if min(before, after) < 0:
            raise InvalidLayerError(
                f"before is {before}, but must be from 0 to size - 1 = {layer.size - 1}",
                field="before",
                metadata={"value": before, "limit": layer.size - 1},
            )
        return settle(layer, before=before)

    def kept(self, layer: LocalResponseNorm, shapes: Shapes) -> Kept:
        channels, *sizes = shapes[0]
        elements = (channels + layer.size - 1) + 2 * channels  # squares, base, divisor
        return Kept(inputs=(0,), sample_statistics=elements * math.prod(sizes))

    def work(self, layer: LocalResponseNorm, shapes: Shapes) -> Work:
        each = layer.size + 5
        return Work(
            each * math.prod(shapes[0]),
            f"a square, size - 1 sums, 2 products, a sum, a power and a division: {each} per "
            "element",
        )

    def explain(
        self, given: LocalResponseNorm, layer: LocalResponseNorm, shapes: Shapes
    ) -> tuple[str, ...]:
        before, after = layer.window
        return (
            f"y = x / ({layer.k} + {layer.alpha} / {layer.size} * sum(x^2))^{layer.beta}",
            (
                f"the sum is over channels c - before = c - {before} to c + size - 1 - before = "
                f"c + {after}, of {shapes[0][0]}"
            ),
        )


class StatisticsRule(Rule[S]):
    """Mean and variance of parts of a sample. The receptive field does not count what they see."""

    takes = FRACTIONS

    def affine_shape(self, layer: S, shapes: Shapes) -> Shape:
        """The shape of `weight` and of `bias`."""
        return (shapes[0][0],)

    def part(self, layer: S, shapes: Shapes) -> Shape:
        """The axes over which one mean is taken."""
        return shapes[0][1:]

    def weight_names(self, layer: S) -> tuple[str, ...]:
        return ("weight", "bias") if layer.affine else ()

    def weight_shapes(self, layer: S, shapes: Shapes) -> tuple[Shape, ...]:
        return (self.affine_shape(layer, shapes),) * 2 if layer.affine else ()

    def kept(self, layer: S, shapes: Shapes) -> Kept:
        means = math.prod(shapes[0]) // max(1, math.prod(self.part(layer, shapes)))
        return Kept(inputs=(0,), sample_statistics=2 * means)

    def work(self, layer: S, shapes: Shapes) -> Work:
        affine = ", 2 for weight and bias" if layer.affine else ""
        return Work((5 + 2 * layer.affine) * math.prod(shapes[0]), _MEANING + affine)

    def mixes_channels(self, layer: S, shapes: Shapes) -> bool:
        return False

    def can_cut(self, layer: S, shapes: Shapes, axis: int) -> bool:
        return False

    def explain(self, given: S, layer: S, shapes: Shapes) -> tuple[str, ...]:
        part = self.part(layer, shapes)
        size, total = math.prod(part), math.prod(shapes[0])
        shape = self.affine_shape(layer, shapes)
        count = 2 * math.prod(shape) * layer.affine
        affine = " * weight + bias" if layer.affine else ""
        return (
            f"y = (x - mean) / sqrt(variance + {layer.eps}){affine}",
            (
                f"{total} / {size} = {total // size} means per sample, each of {product(part)} = "
                f"{size} elements; the receptive field does not count them"
            ),
            f"parameters = 2 * {product(shape)} = {count}" if layer.affine else "parameters = 0",
        )


class LayerNormRule(StatisticsRule[LayerNorm]):
    """Over the last axes."""

    def resolve(self, layer: LayerNorm, shapes: Shapes) -> LayerNorm:
        if layer.axes > len(shapes[0]):
            raise InvalidLayerError(
                f"{layer.axes} axes are asked for, but the input {batched(shapes[0])} has "
                f"{len(shapes[0])} beside the batch; use at most so many",
                field="axes",
                metadata={"value": layer.axes, "limit": len(shapes[0])},
            )
        return layer

    def affine_shape(self, layer: LayerNorm, shapes: Shapes) -> Shape:
        return shapes[0][-layer.axes :]

    def part(self, layer: LayerNorm, shapes: Shapes) -> Shape:
        return self.affine_shape(layer, shapes)


class GroupNormRule(StatisticsRule[GroupNorm]):
    """Over groups of channels and all positions."""

    def resolve(self, layer: GroupNorm, shapes: Shapes) -> GroupNorm:
        if shapes[0][0] % layer.groups:
            raise ShapeError(
                f"{shapes[0][0]} channels are not divisible by groups {layer.groups}; use a "
                "divisor of them",
                field="groups",
                metadata={"value": shapes[0][0], "groups": layer.groups},
            )
        return layer

    def part(self, layer: GroupNorm, shapes: Shapes) -> Shape:
        return (shapes[0][0] // layer.groups, *shapes[0][1:])


class InstanceNormRule(StatisticsRule[InstanceNorm]):
    """Over the positions of each channel."""

    def resolve(self, layer: InstanceNorm, shapes: Shapes) -> InstanceNorm:
        spatial(shapes[0])
        return layer


class ScaleRule(Rule[Scale]):
    """Factors, and biases, along one axis."""

    takes = (FLOATING, COMPLEX)

    def resolve(self, layer: Scale, shapes: Shapes) -> Scale:
        return evolve(layer, axis=resolve_axis(layer.axis, shapes[0], "axis"))

    def weight_names(self, layer: Scale) -> tuple[str, ...]:
        return ("weight", "bias") if layer.bias else ("weight",)

    def weight_shapes(self, layer: Scale, shapes: Shapes) -> tuple[Shape, ...]:
        return ((shapes[0][layer.axis - 1],),) * (1 + layer.bias)

    def mixes_channels(self, layer: Scale, shapes: Shapes) -> bool:
        return False

    def can_cut(self, layer: Scale, shapes: Shapes, axis: int) -> bool:
        return axis != layer.axis  # each position there has a factor of its own

    def work(self, layer: Scale, shapes: Shapes) -> Work:
        count = (1 + layer.bias) * math.prod(shapes[0])
        return Work(count, "one product and one sum per element" if layer.bias else "one product")

    def explain(self, given: Scale, layer: Scale, shapes: Shapes) -> tuple[str, ...]:
        size, each = shapes[0][layer.axis - 1], 1 + layer.bias
        name = "C" if layer.axis == 1 else f"size[{layer.axis}]"
        return (
            f"y = x * weight{' + bias' * layer.bias} along axis {layer.axis}",
            f"parameters = {each} * {name} = {each} * {size} = {each * size}",
        )
