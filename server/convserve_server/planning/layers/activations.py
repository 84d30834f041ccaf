"""Elementwise functions, and softmax. A transcendental function counts as one operation."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import asdict, evolve
from convserve.layers import Clip, PReLU, Softmax
from convserve.tensors import Shape

from convserve_server.planning.axes import along, resolve_axis
from convserve_server.planning.dtypes import FRACTIONS, REAL, check_holds
from convserve_server.planning.layers.rule import INPUT, OUTPUT, Kept, L, Rule, Shapes, Work
from convserve_server.planning.receptive_field import Reach


class ActivationRule(Rule[L]):
    """A function of each element: `operations` of them, which `meaning` names.

    `formula` has the layer's fields in braces.
    """

    def __init__(
        self,
        formula: str,
        operations: int,
        meaning: str,
        takes: tuple[str, ...] = FRACTIONS,
        keeps: Kept = INPUT,
    ) -> None:
        self.takes = takes
        self.keeps = keeps
        self._formula = formula
        self._operations = operations
        self._meaning = meaning

    def work(self, layer: L, shapes: Shapes) -> Work:
        count = self._operations * math.prod(shapes[0])
        return Work(count, f"{self._meaning}: {self._operations} per element")

    def mixes_channels(self, layer: L, shapes: Shapes) -> bool:
        return False

    def explain(self, given: L, layer: L, shapes: Shapes) -> tuple[str, ...]:
        return (f"y = {self._formula.format(**asdict(layer, recurse=False))}",)


class ClipRule(ActivationRule[Clip]):
    """Bounds that the element type must hold."""

    def __init__(self) -> None:
        super().__init__("min(max(x, low), high)", 2, "a maximum and a minimum", REAL)

    def output_dtype(self, layer: Clip, dtypes: Sequence[str]) -> str:
        for name, bound in (("low", layer.low), ("high", layer.high)):
            if bound is not None:
                check_holds(dtypes[0], bound, name)
        return dtypes[0]

    def explain(self, given: Clip, layer: Clip, shapes: Shapes) -> tuple[str, ...]:
        low = "-inf" if layer.low is None else layer.low
        high = "inf" if layer.high is None else layer.high
        return (f"y = min(max(x, {low}), {high})",)


class PReLURule(ActivationRule[PReLU]):
    """A slope per channel."""

    def __init__(self) -> None:
        super().__init__("x where x >= 0, else weight * x", 2, "a comparison and a product")

    def weight_names(self, layer: PReLU) -> tuple[str, ...]:
        return ("weight",)

    def weight_shapes(self, layer: PReLU, shapes: Shapes) -> tuple[Shape, ...]:
        return ((shapes[0][0],),)

    def explain(self, given: PReLU, layer: PReLU, shapes: Shapes) -> tuple[str, ...]:
        return (*super().explain(given, layer, shapes), f"parameters = C = {shapes[0][0]}")


class SoftmaxRule(ActivationRule[Softmax]):
    """Shares of a sum along one axis, all of which every element sees."""

    def __init__(self) -> None:
        super().__init__(
            "exp(x) / sum(exp(x)) along axis {axis}",
            5,
            "a maximum, a difference, exp, a sum and a division",
            keeps=OUTPUT,
        )

    def resolve(self, layer: Softmax, shapes: Shapes) -> Softmax:
        return evolve(layer, axis=resolve_axis(layer.axis, shapes[0], "axis"))

    def reach(self, layer: Softmax, shapes: Shapes) -> tuple[Reach, ...]:
        return along((layer.axis,), shapes[0])

    def mixes_channels(self, layer: Softmax, shapes: Shapes) -> bool:
        return layer.axis == 1
