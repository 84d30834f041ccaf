"""Convolutions that other layers are made of."""

from __future__ import annotations

from convserve.tensors import Shape

from convserve_server.engines.cuda.graphs import BIAS, INPUT, OUTPUT, WEIGHT
from convserve_server.engines.cuda.lowering.algorithms import compute
from convserve_server.engines.cuda.lowering.builder import Builder
from convserve_server.engines.cuda.lowering.operands import laid_out
from convserve_server.engines.cuda.lowering.selection import Problem
from convserve_server.engines.cuda.views import View
from convserve_server.planning.kernels import FORWARD, Convolution


def convolved(
    builder: Builder, x: View, weight: View, sizes: Shape, bias: View | None = None
) -> tuple[View, str]:
    """The result (N, K, *sizes), and the algorithm that makes it.

    `x` (N, C, *L), `weight` (K, C / groups, *kernel) and `bias` (K) have one type, and the last two
    stay. The windows move by one, without padding.
    """
    with builder.preparation():
        weight = laid_out(builder, weight, x.dtype)
    y = builder.new(x.dtype, (x.shape[0], weight.shape[0], *sizes))
    ones, none = (1,) * len(sizes), ((0, 0),) * len(sizes)
    convolution = Convolution(FORWARD, x.dtype, x.shape, weight.shape, y.shape, ones, none, ones)
    tensors = {INPUT: laid_out(builder, x, x.dtype), WEIGHT: weight, OUTPUT: y}
    if bias is not None:
        tensors[BIAS] = bias
    return y, compute(builder, Problem(convolution, bias is not None), tensors)
