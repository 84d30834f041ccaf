"""Pooling into so many parts: PyTorch's windows (aten AdaptivePooling.h)."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from convserve.layers import AdaptiveAvgPool, AdaptiveMaxPool, PyramidPool
from convserve.tensors import Shape

from convserve_server.planning.axes import axis_names, spatial, spread
from convserve_server.planning.dtypes import FRACTIONS, REAL, check_takes
from convserve_server.planning.layers.rule import Kept, Rule, Shapes, Work
from convserve_server.planning.receptive_field import Reach

A = TypeVar("A", bound=AdaptiveAvgPool | AdaptiveMaxPool)


class AdaptivePoolRule(Rule[A]):
    """What both kinds share: everything but the element types that they take."""

    def __init__(self, takes: tuple[str, ...], operation: str) -> None:
        self.takes = takes
        self._operation = operation

    def resolve(self, layer: A, shapes: Shapes) -> A:
        return spread(layer, len(spatial(shapes[0])), "output_size")

    def output_shape(self, layer: A, shapes: Shapes) -> Shape:
        return (shapes[0][0], *layer.output_size)

    def kept(self, layer: A, shapes: Shapes) -> Kept:
        outputs = math.prod(self.output_shape(layer, shapes))
        indices = outputs if isinstance(layer, AdaptiveMaxPool) else 0
        return Kept(inputs=(0,), sample_indices=indices)

    def work(self, layer: A, shapes: Shapes) -> Work:
        count = shapes[0][0] * _elements(shapes[0][1:], layer.output_size)
        return Work(count, f"{self._operation}, 1 per element of each window")

    def reach(self, layer: A, shapes: Shapes) -> tuple[Reach, ...]:
        sizes = zip(shapes[0][1:], layer.output_size, strict=True)
        return tuple(_reach(length, parts) for length, parts in sizes)

    def mixes_channels(self, layer: A, shapes: Shapes) -> bool:
        return False

    def can_cut(self, layer: A, shapes: Shapes, axis: int) -> bool:
        return False

    def explain(self, given: A, layer: A, shapes: Shapes) -> tuple[str, ...]:
        lengths = shapes[0][1:]
        rows = zip(axis_names(len(lengths)), lengths, layer.output_size, strict=True)
        return tuple(
            f"{axis}: L' = output_size = {parts}; part i is [floor(i * {length} / {parts}), "
            f"ceil((i + 1) * {length} / {parts})): at most {_longest(length, parts)} elements"
            for axis, length, parts in rows
        )


class PyramidPoolRule(Rule[PyramidPool]):
    """Adaptive pools of several sizes, side by side in one axis."""

    takes = REAL

    def resolve(self, layer: PyramidPool, shapes: Shapes) -> PyramidPool:
        spatial(shapes[0])
        return layer

    def output_shape(self, layer: PyramidPool, shapes: Shapes) -> Shape:
        channels, *lengths = shapes[0]
        return (channels * sum(parts ** len(lengths) for parts in layer.levels),)

    def output_dtype(self, layer: PyramidPool, dtypes: Sequence[str]) -> str:
        takes = REAL if layer.mode == "max" else FRACTIONS
        check_takes(takes, {f"the input of mode {layer.mode}": dtypes[0]})
        return dtypes[0]

    def kept(self, layer: PyramidPool, shapes: Shapes) -> Kept:
        outputs = math.prod(self.output_shape(layer, shapes))
        return Kept(inputs=(0,), sample_indices=outputs if layer.mode == "max" else 0)

    def work(self, layer: PyramidPool, shapes: Shapes) -> Work:
        channels, *lengths = shapes[0]
        counts = (_elements(lengths, (parts,) * len(lengths)) for parts in layer.levels)
        return Work(channels * sum(counts), "1 per element of each window of each level")

    def reach(self, layer: PyramidPool, shapes: Shapes) -> tuple[Reach, ...]:
        return tuple(Reach(span=length, stride=0) for length in shapes[0][1:])

    def explain(self, given: PyramidPool, layer: PyramidPool, shapes: Shapes) -> tuple[str, ...]:
        channels, *lengths = shapes[0]
        parts = " + ".join(f"{level}^{len(lengths)}" for level in layer.levels)
        (features,) = self.output_shape(layer, shapes)
        return (f"features = C * sum(level^axes) = {channels} * ({parts}) = {features}",)


def _longest(length: int, parts: int) -> int:
    """The size of the longest window.

    Part i begins (i * length % parts) / parts after its first element, which takes every multiple
    of gcd(length, parts); one that ends beyond the next whole element but one reads one more.
    """
    size, spare = divmod(length, parts)
    if not spare:
        return size
    return size + (2 if spare > math.gcd(spare, parts) else 1)


def _reach(length: int, parts: int) -> Reach:
    """The windows on a grid with an element at every `up`-th place, and parts `stride` apart."""
    if parts == 1:
        return Reach(span=length, stride=0)
    common = math.gcd(length, parts)
    stride, up = length // common, parts // common
    return Reach(span=stride + up - 1, stride=stride, low=up - 1, up=up)


def _elements(lengths: Sequence[int], parts: Sequence[int]) -> int:
    """The sizes of all windows together.

    Along an axis they add up to length + parts - gcd(length, parts): neighbours share an element
    unless they meet between two.
    """
    pairs = zip(lengths, parts, strict=True)
    return math.prod(length + count - math.gcd(length, count) for length, count in pairs)
