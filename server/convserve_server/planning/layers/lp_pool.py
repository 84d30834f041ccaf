"""Pooling by p-norms, as ONNX has it: absolute values, and zeros for padding."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math

from convserve.layers import GlobalLpPool, LpPool
from convserve.tensors import Shape

from convserve_server.planning.dtypes import FRACTIONS
from convserve_server.planning.layers.pool import GlobalPoolRule, WindowPoolRule
from convserve_server.planning.layers.rule import Kept, Shapes, Work


class LpPoolRule(WindowPoolRule[LpPool]):
    """The p-norm of windows."""

    takes = FRACTIONS

    def kept(self, layer: LpPool, shapes: Shapes) -> Kept:
        return _powers(shapes[0], self.output_shape(layer, shapes))

    def work(self, layer: LpPool, shapes: Shapes) -> Work:
        taps = math.prod(layer.kernel_size)
        count = math.prod(self.output_shape(layer, shapes)) * 2 * taps
        return Work(count, f"{taps} powers, {taps} - 1 sums and 1 root per output element")


class GlobalLpPoolRule(GlobalPoolRule[GlobalLpPool]):
    """The p-norm over all spatial axes."""

    takes = FRACTIONS

    def kept(self, layer: GlobalLpPool, shapes: Shapes) -> Kept:
        return _powers(shapes[0], self.output_shape(layer, shapes))

    def work(self, layer: GlobalLpPool, shapes: Shapes) -> Work:
        count = 2 * math.prod(shapes[0])
        return Work(count, "prod(L) powers, prod(L) - 1 sums and 1 root per channel")


def _powers(shape: Shape, output: Shape) -> Kept:
    """The powers, and the four steps from their sums to the root of each."""
    return Kept(inputs=(0,), sample_statistics=math.prod(shape) + 4 * math.prod(output))
