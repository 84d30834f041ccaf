"""Products of matrices: Gemm and MatMul."""

from __future__ import annotations

from convserve.layers import Dense

from convserve_server.planning.importers.onnx.call import Call
from convserve_server.planning.importers.onnx.constants import Constant, filled


def gemm(call: Call) -> None:
    """Alpha * A B + beta * C, with B and C constant: factors and transpositions go into them."""
    x, weight, bias = call.value(0), call.constant(1, "B"), call.optional(2, "C")
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    if call.flag("transA") or x.rank != 2 or len(weight.shape) != 2:
        call.refuse("only a batch of rows (transA 0) times a matrix is done")
    if not call.flag("transB"):
        weight = weight.transposed((1, 0))
    outputs = weight.shape[0]
    if bias is not None:
        bias = _row(call, bias, outputs).scaled(beta)
    layer = Dense(outputs, bias=bias is not None)
    weights = {"weight": weight.scaled(alpha), "bias": bias}
    call.put(call.add(layer, x, shape=(outputs,), weights=weights))


def _row(call: Call, bias: Constant, outputs: int) -> Constant:
    """C as one number for each output."""
    if bias.element_count == 1 and outputs != 1:
        value = call.building.array(bias).reshape(-1)[0]
        return filled(bias.dtype, (outputs,), value)
    if bias.element_count != outputs or (bias.shape and bias.shape[-1] != outputs):
        call.refuse(f"its C has the shape {bias.shape}; it must be one number or {outputs}")
    return bias.reshaped((outputs,))


def matmul(call: Call) -> None:
    """A tensor times a constant matrix, over the last axis."""
    x, weight = call.value(0), call.constant(1, "B")
    if len(weight.shape) != 2:
        call.refuse(f"its B has the shape {weight.shape}, and only a matrix is done")
    outputs = weight.shape[1]
    shape = (*x.shape[:-1], outputs)
    layer = Dense(outputs, bias=False)
    call.put(call.add(layer, x, shape=shape, weights={"weight": weight.transposed((1, 0))}))


OPERATORS = {"Gemm": gemm, "MatMul": matmul}
