"""Convolution on a graph."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math
from collections.abc import Sequence

from convserve.errors import ShapeError
from convserve.layers import GraphConv
from convserve.tensors import Shape

from convserve_server.planning.axes import batched
from convserve_server.planning.dtypes import COMPLEX, FLOATING, accumulate
from convserve_server.planning.layers.rule import Kept, Rule, Shapes, Work
from convserve_server.planning.receptive_field import Reach


class GraphConvRule(Rule[GraphConv]):
    """(N, M, F) to (N, M, out_features): filters over the nodes and a matrix over the features.

    They commute, so the count is that of the better order. The axis whose field is told is that of
    the features, each of which sees all of them.
    """

    takes = (FLOATING, COMPLEX)
    statistics = ("filters",)

    def resolve(self, layer: GraphConv, shapes: Shapes) -> GraphConv:
        if len(shapes[0]) != 2:
            raise ShapeError(
                f"the input {batched(shapes[0])} has rank {len(shapes[0]) + 1}, but a graph "
                "convolution reads rank 3, (N, nodes, features); reshape it first",
                metadata={"rank": len(shapes[0]) + 1, "limit": 3},
            )
        return layer

    def output_shape(self, layer: GraphConv, shapes: Shapes) -> Shape:
        return (shapes[0][0], layer.out_features)

    def output_dtype(self, layer: GraphConv, dtypes: Sequence[str]) -> str:
        return accumulate(dtypes)

    def weight_names(self, layer: GraphConv) -> tuple[str, ...]:
        return ("filters", "weight", *(["bias"] if layer.bias else []))

    def weight_shapes(self, layer: GraphConv, shapes: Shapes) -> tuple[Shape, ...]:
        nodes, features = shapes[0]
        both = ((layer.filters, nodes, nodes), (layer.filters * features, layer.out_features))
        return (*both, (layer.out_features,)) if layer.bias else both

    def mac_count(self, layer: GraphConv, shapes: Shapes) -> int:
        nodes, features = shapes[0]
        filtered = nodes * min(features, layer.out_features)
        return layer.filters * nodes * (filtered + features * layer.out_features)

    def kept(self, layer: GraphConv, shapes: Shapes) -> Kept:
        return Kept(sample_statistics=layer.filters * math.prod(shapes[0]))

    def work(self, layer: GraphConv, shapes: Shapes) -> Work:
        if not layer.bias:
            return Work()
        return Work(shapes[0][0] * layer.out_features, "adding the bias, 1 per output element")

    def reach(self, layer: GraphConv, shapes: Shapes) -> tuple[Reach, ...]:
        return (Reach(span=shapes[0][1], stride=0),)

    def explain(self, given: GraphConv, layer: GraphConv, shapes: Shapes) -> tuple[str, ...]:
        nodes, features = shapes[0]
        k, out = layer.filters, layer.out_features
        bias = (" + out_features", f" + {out}") if layer.bias else ("", "")
        count = k * features * out + out * layer.bias
        numbers = f"{k} * {features} * {out}{bias[1]} = {count}"
        taps = f"({nodes} * min({features}, {out}) + {features} * {out})"
        macs = f"{k} * {nodes} * {taps} = {self.mac_count(layer, shapes)}"
        order = "weight" if out < features else "filters"
        return (
            f"parameters = filters * F * out_features{bias[0]} = {numbers}",
            f"of the graph beside: filters * M * M = {k} * {nodes} * {nodes} = {k * nodes * nodes}",
            f"MACs = filters * M * (M * min(F, out_features) + F * out_features) = {macs} a sample",
            f"the product with `{order}` is made first, which is less work",
        )
