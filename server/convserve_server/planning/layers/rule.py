"""What planning knows of one kind of layer: the interface of every file in this folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeAlias, TypeVar

import msgspec
from convserve.layers import Layer
from convserve.tensors import Shape

from convserve_server.planning.dtypes import ANY, promote
from convserve_server.planning.receptive_field import AxisFields, Reach, advance

L = TypeVar("L", bound=Layer)
Shapes: TypeAlias = tuple[Shape, ...]


class Work(msgspec.Struct, frozen=True):
    """Elementwise operations beside the multiply-accumulates, for one sample, and what they are."""

    count: int = 0
    meaning: str = "none"


class Kept(msgspec.Struct, frozen=True):
    """What a layer's backward needs of its forward, as PyTorch's autograd saves it.

    Of its `inputs` the positions (None: all), its `output`, and beside them int64 indices and
    numbers in the type of the sums: per sample, or the same for any batch.
    """

    inputs: tuple[int, ...] | None = ()
    output: bool = False
    sample_indices: int = 0
    sample_statistics: int = 0
    statistics: int = 0


NOTHING = Kept()
INPUT = Kept(inputs=(0,))
INPUTS = Kept(inputs=None)
OUTPUT = Kept(output=True)


class Rule(Generic[L]):
    """The rules of one kind of layer. This base is a layer that keeps its input's shape.

    Every shape is that of one sample, (C, *L): the batch concerns no rule. `layer` is resolved in
    every method but `resolve` and `weight_names`. Errors carry the field's name in the layer.
    """

    least_inputs: int = 1
    most_inputs: int | None = 1  # None: any number
    seen_inputs: int | None = None  # so many of the first ones make the field; None: all
    takes: tuple[str, ...] = ANY  # classes of element types
    statistics: tuple[str, ...] = ()  # weights that are not trained
    keeps: Kept = INPUT  # for backward

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

    def weight_dtype(self, name: str, dtype: str) -> str:
        """The element type of a weight that nobody sent, for a first input of `dtype`."""
        return dtype

    def mac_count(self, layer: L, shapes: Shapes) -> int:
        """Multiply-accumulates per sample: dense, padding taps included, bias not."""
        return 0

    def work(self, layer: L, shapes: Shapes) -> Work:
        """Elementwise operations per sample."""
        return Work()

    def kept(self, layer: L, shapes: Shapes) -> Kept:
        """What backward needs, beside the weights."""
        return self.keeps

    def reach(self, layer: L, shapes: Shapes) -> tuple[Reach, ...]:
        """How far the layer sees, per spatial axis of its input. Empty: one element only."""
        return ()

    def places(self, layer: L, shapes: Shapes) -> tuple[int | None, ...] | None:
        """For each axis of the first input's sample, where it is in the result's; None: nowhere.

        None altogether: all axes stay where they are.
        """
        return None

    def mixes_channels(self, layer: L, shapes: Shapes) -> bool:
        """Whether an element of the result may see more than one element along axis 0 of a sample.

        Which matters where a spatial axis was moved there, as by a permutation to channels last.
        """
        return True

    def can_cut(self, layer: L, shapes: Shapes, axis: int) -> bool:
        """Whether a part of the input along spatial `axis` gives a part of the result, as `reach`
        tells. Axes are numbered as those of tensors: 2 is the first spatial one.
        """
        return True

    def field(
        self, layer: L, shapes: Shapes, reaches: Sequence[Reach], before: AxisFields | None
    ) -> AxisFields | None:
        """The receptive field of the result, from that of the input. None: not defined there.

        `reaches` are those that `reach` tells.
        """
        return advance(before, reaches)

    def explain(self, given: L, layer: L, shapes: Shapes) -> tuple[str, ...]:
        """Formulas of shape, weights and counts, each followed by itself with the numbers.

        `given` is the layer before it was resolved.
        """
        return ()
