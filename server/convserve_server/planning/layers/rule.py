"""What planning knows of one kind of layer: the interface of every file in this folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeAlias, TypeVar

from attrs import frozen
from convserve.layers import Layer
from convserve.tensors import Shape

from convserve_server.planning.dtypes import ANY, promote
from convserve_server.planning.receptive_field import Reach

L = TypeVar("L", bound=Layer)
Shapes: TypeAlias = tuple[Shape, ...]


@frozen
class Work:
    """Elementwise operations beside the multiply-accumulates, for one sample, and what they are."""

    count: int = 0
    meaning: str = "none"


class Rule(Generic[L]):
    """The rules of one kind of layer. This base is a layer that keeps its input's shape.

    Every shape is that of one sample, (C, *L): the batch concerns no rule. `layer` is resolved in
    every method but `resolve` and `weight_names`. Errors carry the field's name in the layer.
    """

    joins = False  # reads two or more inputs; otherwise exactly one
    takes: tuple[str, ...] = ANY  # classes of element types
    statistics: tuple[str, ...] = ()  # weights that are not trained

    def resolve(self, layer: L, shapes: Shapes) -> L:
        """The same layer with every field explicit, after all checks that need shapes.

        Raises InvalidLayerError, ShapeError.
        """
        return layer

    def output_shape(self, layer: L, shapes: Shapes) -> Shape:
        """The result's shape."""
        return shapes[0]

    def output_dtype(self, layer: L, dtypes: Sequence[str]) -> str:
        """The result's element type, from those of inputs and weights. Raises DTypeError."""
        return promote(dtypes)

    def weight_names(self, layer: L) -> tuple[str, ...]:
        """The names of the weights, in the order of the layer's comment."""
        return ()

    def weight_shapes(self, layer: L, shapes: Shapes) -> tuple[Shape, ...]:
        """The shapes of the weights, in the order of their names."""
        return ()

    def mac_count(self, layer: L, shapes: Shapes) -> int:
        """Multiply-accumulates per sample: dense, padding taps included, bias not."""
        return 0

    def work(self, layer: L, shapes: Shapes) -> Work:
        """Elementwise operations per sample."""
        return Work()

    def reach(self, layer: L, shapes: Shapes) -> tuple[Reach, ...]:
        """How far the layer sees, per spatial axis of its input. Empty: one element only."""
        return ()

    def explain(self, given: L, layer: L, shapes: Shapes) -> tuple[str, ...]:
        """Formulas of shape, weights and counts, each followed by itself with the numbers.

        `given` is the layer before it was resolved.
        """
        return ()
