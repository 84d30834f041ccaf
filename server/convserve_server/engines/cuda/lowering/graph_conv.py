"""Convolution on a graph: y = sum over k of filters[k] @ x @ weight[k], plus bias.

Both products are convolutions. The first is of one tap; the second sums over the filters as the
taps of its kernel. What lies between is in the type of the sums.
"""

from __future__ import annotations

from convserve.layers import Add, GraphConv, Layer

from convserve_server.engines.cuda.lowering.builder import Builder, Emitter
from convserve_server.engines.cuda.lowering.inner import convolved
from convserve_server.engines.cuda.lowering.merge import combine
from convserve_server.engines.cuda.lowering.rows import sum_type
from convserve_server.engines.cuda.views import View
from convserve_server.planning.program import Step


def _graph_conv(builder: Builder, step: Step) -> None:
    """The product that makes less of the features, or no more of them, comes first."""
    dtype, weights = step.output.dtype, builder.weights_of(step)
    x = builder.cast(builder.value(step.inputs[0].name), sum_type(dtype))
    with builder.preparation():
        filters = builder.contiguous(weights["filters"], x.dtype)
        weight = builder.contiguous(weights["weight"], x.dtype)
    weight = weight.split(0, (filters.shape[0], x.shape[2]))
    if weight.shape[2] < weight.shape[1]:  # over the features, then over the nodes
        z, first = _one_tap(builder, x.permuted((0, 2, 1)), weight.permuted((0, 2, 1)))
        y, second = _filter_taps(builder, z, filters.permuted((1, 2, 0)))
    else:
        z, first = _one_tap(builder, x, filters)
        y, second = _filter_taps(builder, z, weight.permuted((2, 1, 0)))
        y = y.permuted((0, 2, 1))
    if "bias" in weights:
        _add_bias(builder, step, y, weights["bias"])
    else:
        builder.bind(step.output.name, builder.cast(y, dtype))
    builder.record(step, "+".join(dict.fromkeys((first, second))))


def _one_tap(builder: Builder, x: View, matrices: View) -> tuple[View, str]:
    """`matrices` (K, R, C) times `x` (N, C, L): (N, K, R, L)."""
    count, rows, _ = matrices.shape
    with builder.preparation():
        weight = builder.contiguous(matrices).reshaped((count * rows, x.shape[1], 1))
    assert weight is not None
    z, algorithm = convolved(builder, x, weight, x.shape[2:])
    return z.split(1, (count, rows)), algorithm


def _filter_taps(builder: Builder, z: View, weight: View) -> tuple[View, str]:
    """(N, R, L) from `z` (N, K, L, C) and `weight` (R, C, K): summed over C and K."""
    x, kernel = z.permuted((0, 3, 1, 2)), weight.inserted(3)
    y, algorithm = convolved(builder, x, kernel, (1, z.shape[2]))
    return y.permuted((0, 1, 3)), algorithm


def _add_bias(builder: Builder, step: Step, y: View, bias: View) -> None:
    """The result, rounded once."""
    with builder.preparation():
        bias = builder.cast(bias, step.output.dtype)
    made = builder.result(step.output)
    combine(builder, Add, made, y, bias.expanded(made.shape))


TABLE: dict[type[Layer], Emitter] = {GraphConv: _graph_conv}
