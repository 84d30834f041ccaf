"""Layers on features: fully connected, normalisation, flattening."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math
from collections.abc import Sequence

from convserve.errors import ShapeError
from convserve.layers import BatchNorm, Dense, Flatten
from convserve.tensors import Shape

from convserve_server.planning.axes import batched, product
from convserve_server.planning.dtypes import FRACTIONS, accumulate
from convserve_server.planning.layers.rule import Rule, Shapes, Work
from convserve_server.planning.receptive_field import Reach


class DenseRule(Rule[Dense]):
    """(N, F) to (N, out_features)."""

    def resolve(self, layer: Dense, shapes: Shapes) -> Dense:
        if len(shapes[0]) != 1:
            raise ShapeError(
                f"the input {batched(shapes[0])} has rank {len(shapes[0]) + 1}, but a dense layer "
                "reads rank 2, (N, features); put a Flatten layer before it",
                metadata={"rank": len(shapes[0]) + 1, "limit": 2},
            )
        return layer

    def output_shape(self, layer: Dense, shapes: Shapes) -> Shape:
        return (layer.out_features,)

    def output_dtype(self, layer: Dense, dtypes: Sequence[str]) -> str:
        return accumulate(dtypes)

    def weight_names(self, layer: Dense) -> tuple[str, ...]:
        return ("weight", "bias") if layer.bias else ("weight",)

    def weight_shapes(self, layer: Dense, shapes: Shapes) -> tuple[Shape, ...]:
        weight = (layer.out_features, shapes[0][0])
        return (weight, (layer.out_features,)) if layer.bias else (weight,)

    def mac_count(self, layer: Dense, shapes: Shapes) -> int:
        return layer.out_features * shapes[0][0]

    def work(self, layer: Dense, shapes: Shapes) -> Work:
        if not layer.bias:
            return Work()
        return Work(layer.out_features, "adding the bias, 1 per output element")

    def explain(self, given: Dense, layer: Dense, shapes: Shapes) -> tuple[str, ...]:
        features, count = shapes[0][0], self.mac_count(layer, shapes)
        numbers = f"{layer.out_features} * {features}"
        bias = (" + out_features", f" + {layer.out_features}") if layer.bias else ("", "")
        total = count + layer.out_features * layer.bias
        return (
            f"parameters = out_features * F{bias[0]} = {numbers}{bias[1]} = {total}",
            f"MACs = out_features * F = {numbers} = {count} per sample",
        )


class BatchNormRule(Rule[BatchNorm]):
    """Per channel, with running statistics. They are weights, but not parameters."""

    takes = FRACTIONS
    statistics = ("running_mean", "running_var")

    def weight_names(self, layer: BatchNorm) -> tuple[str, ...]:
        return ("weight", "bias", *self.statistics)

    def weight_shapes(self, layer: BatchNorm, shapes: Shapes) -> tuple[Shape, ...]:
        return ((shapes[0][0],),) * 4

    def work(self, layer: BatchNorm, shapes: Shapes) -> Work:
        return Work(2 * math.prod(shapes[0]), "one product and one sum, folded: 2 per element")

    def explain(self, given: BatchNorm, layer: BatchNorm, shapes: Shapes) -> tuple[str, ...]:
        channels = shapes[0][0]
        return (f"parameters = 2 * C = 2 * {channels} = {2 * channels} (2 * C statistics beside)",)


class FlattenRule(Rule[Flatten]):
    """(N, C, *L) to (N, C * prod(L)). Every feature counts as seeing what all of them see."""

    def output_shape(self, layer: Flatten, shapes: Shapes) -> Shape:
        return (math.prod(shapes[0]),)

    def reach(self, layer: Flatten, shapes: Shapes) -> tuple[Reach, ...]:
        return tuple(Reach(span=length, stride=0) for length in shapes[0][1:])

    def explain(self, given: Flatten, layer: Flatten, shapes: Shapes) -> tuple[str, ...]:
        return (f"features = C * prod(L) = {product(shapes[0])} = {math.prod(shapes[0])}",)
