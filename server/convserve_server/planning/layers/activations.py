"""Elementwise activations, and softmax. A transcendental function counts as one operation."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math

from convserve_server.planning.dtypes import FRACTIONS
from convserve_server.planning.layers.rule import L, Rule, Shapes, Work


class ActivationRule(Rule[L]):
    """A function of each element: `operations` of them, which `meaning` names."""

    def __init__(self, operations: int, meaning: str, takes: tuple[str, ...] = FRACTIONS) -> None:
        self.takes = takes
        self._operations = operations
        self._meaning = meaning

    def work(self, layer: L, shapes: Shapes) -> Work:
        count = self._operations * math.prod(shapes[0])
        return Work(count, f"{self._meaning}: {self._operations} per element")
