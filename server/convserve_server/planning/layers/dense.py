"""Layers on features: fully connected, normalisation, flattening."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math
from collections.abc import Sequence

from convserve.layers import BatchNorm, Dense, Flatten
from convserve.tensors import Shape

from convserve_server.planning.axes import along, product
from convserve_server.planning.dtypes import FRACTIONS, accumulate
from convserve_server.planning.layers.rule import NOTHING, Kept, Rule, Shapes, Work
from convserve_server.planning.receptive_field import Reach


class DenseRule(Rule[Dense]):
    """(N, ..., F) to (N, ..., out_features)."""

    def output_shape(self, layer: Dense, shapes: Shapes) -> Shape:
        return (*shapes[0][:-1], layer.out_features)

    def output_dtype(self, layer: Dense, dtypes: Sequence[str]) -> str:
        return accumulate(dtypes)

    def weight_names(self, layer: Dense) -> tuple[str, ...]:
        return ("weight", "bias") if layer.bias else ("weight",)

    def weight_shapes(self, layer: Dense, shapes: Shapes) -> tuple[Shape, ...]:
        weight = (layer.out_features, shapes[0][-1])
        return (weight, (layer.out_features,)) if layer.bias else (weight,)

    def mac_count(self, layer: Dense, shapes: Shapes) -> int:
        return layer.out_features * math.prod(shapes[0])

    def work(self, layer: Dense, shapes: Shapes) -> Work:
        if not layer.bias:
            return Work()
        count = math.prod(self.output_shape(layer, shapes))
        return Work(count, "adding the bias, 1 per output element")

    def reach(self, layer: Dense, shapes: Shapes) -> tuple[Reach, ...]:
        return along((len(shapes[0]),), shapes[0])

    def mixes_channels(self, layer: Dense, shapes: Shapes) -> bool:
        return len(shapes[0]) == 1

    def explain(self, given: Dense, layer: Dense, shapes: Shapes) -> tuple[str, ...]:
        *places, features = shapes[0]
        count, numbers = self.mac_count(layer, shapes), f"{layer.out_features} * {features}"
        rows = (" * prod(L)", f" * {product(places)}") if places else ("", "")
        bias = (" + out_features", f" + {layer.out_features}") if layer.bias else ("", "")
        total = layer.out_features * (features + layer.bias)
        return (
            f"parameters = out_features * F{bias[0]} = {numbers}{bias[1]} = {total}",
            f"MACs = out_features * F{rows[0]} = {numbers}{rows[1]} = {count} per sample",
        )


class BatchNormRule(Rule[BatchNorm]):
    """Per channel, with running statistics. They are weights, but not parameters."""

    takes = FRACTIONS
    statistics = ("running_mean", "running_var")

    def weight_names(self, layer: BatchNorm) -> tuple[str, ...]:
        return (*_trained(layer), *self.statistics)

    def weight_shapes(self, layer: BatchNorm, shapes: Shapes) -> tuple[Shape, ...]:
        return ((shapes[0][0],),) * len(self.weight_names(layer))

    def kept(self, layer: BatchNorm, shapes: Shapes) -> Kept:
        return Kept(inputs=(0,), statistics=2 * shapes[0][0])

    def work(self, layer: BatchNorm, shapes: Shapes) -> Work:
        return Work(2 * math.prod(shapes[0]), "one product and one sum, folded: 2 per element")

    def explain(self, given: BatchNorm, layer: BatchNorm, shapes: Shapes) -> tuple[str, ...]:
        channels, count = shapes[0][0], len(_trained(layer))
        numbers = f"{count} * C = {count} * {channels} = {count * channels}"
        affine = " * weight" * layer.weight + " + bias" * layer.bias
        return (
            f"y = (x - running_mean) / sqrt(running_var + {layer.eps}){affine}",
            f"parameters = {numbers} (2 * C statistics beside)",
        )


def _trained(layer: BatchNorm) -> tuple[str, ...]:
    return ("weight",) * layer.weight + ("bias",) * layer.bias


class FlattenRule(Rule[Flatten]):
    """(N, C, *L) to (N, C * prod(L)). Every feature counts as seeing what all of them see."""

    keeps = NOTHING

    def output_shape(self, layer: Flatten, shapes: Shapes) -> Shape:
        return (math.prod(shapes[0]),)

    def reach(self, layer: Flatten, shapes: Shapes) -> tuple[Reach, ...]:
        return tuple(Reach(span=length, stride=0) for length in shapes[0][1:])

    def explain(self, given: Flatten, layer: Flatten, shapes: Shapes) -> tuple[str, ...]:
        return (f"features = C * prod(L) = {product(shapes[0])} = {math.prod(shapes[0])}",)
