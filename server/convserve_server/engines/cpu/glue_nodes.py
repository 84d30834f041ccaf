"""What joins, moves, reductions and plain functions are in ONNX. See `nodes`."""

from __future__ import annotations

import math

from convserve import layers
from convserve.layers import Layer
from convserve.layers.fields import Ints

from convserve_server.engines.cpu.nodes import Emit, per_channel, plain, reshaped
from convserve_server.engines.cpu.pool_nodes import pool_safely
from convserve_server.engines.cpu.writer import Writer
from convserve_server.planning.program import Step


def _mul(writer: Writer, _: Step, x: list[str], __: list[str]) -> str:
    product = x[0]
    for other in x[1:]:
        product = writer.add("Mul", product, other)
    return product


def _concat(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.Concat)
    return writer.add("Concat", *x, axis=step.layer.axis)


def _softmax(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.Softmax)
    return writer.add("Softmax", *x, axis=step.layer.axis)


def _permute(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.Permute)
    return writer.add("Transpose", *x, perm=[0, *step.layer.order])


def _reshape(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    return reshaped(writer, x[0], step.output.shape[1:])


def _slice(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    layer = step.layer
    assert isinstance(layer, layers.Slice)
    assert layer.stop is not None  # a resolved layer states it
    numbers = ((layer.start,), (layer.stop,), (layer.axis,), (layer.step,))
    return writer.add("Slice", *x, *map(writer.integers, numbers))


def _reduce_mean(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.ReduceMean)
    return _reduced(writer, "ReduceMean", x[0], step.layer.axes, keep=step.layer.keepdims)


def _reduce_sum(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.ReduceSum)
    return _reduced(writer, "ReduceSum", x[0], step.layer.axes, keep=step.layer.keepdims)


def _reduce_max(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    layer = step.layer
    assert isinstance(layer, layers.ReduceMax)

    def reduce(source: str) -> str:
        return _reduced(writer, "ReduceMax", source, layer.axes, keep=layer.keepdims)

    return pool_safely(writer, x[0], reduce)


def _reduced(writer: Writer, op: str, x: str, axes: Ints, *, keep: bool) -> str:
    return writer.add(op, x, writer.integers(axes), keepdims=int(keep))


def _hard_sigmoid(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    layer = step.layer
    assert isinstance(layer, layers.HardSigmoid)
    return writer.add("HardSigmoid", *x, alpha=layer.alpha, beta=layer.beta)


def _hard_swish(writer: Writer, _: Step, x: list[str], __: list[str]) -> str:
    return writer.add("Mul", *x, writer.add("HardSigmoid", *x, alpha=1 / 6, beta=0.5))


def _mish(writer: Writer, _: Step, x: list[str], __: list[str]) -> str:
    return writer.add("Mul", *x, writer.add("Tanh", writer.add("Softplus", *x)))


def _prelu(writer: Writer, step: Step, x: list[str], weights: list[str]) -> str:
    return writer.add("PRelu", *x, per_channel(writer, weights[0], len(step.output.shape)))


def _clip(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    """With both bounds: without one, it would cut at the largest finite number."""
    layer = step.layer
    assert isinstance(layer, layers.Clip)
    low = -math.inf if layer.low is None else layer.low
    high = math.inf if layer.high is None else layer.high
    return writer.add("Clip", *x, writer.scalar(low), writer.scalar(high))


def _power(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.Power)
    return writer.add("Pow", *x, writer.scalar(step.layer.exponent))


EMITTERS: dict[type[Layer], Emit] = {
    layers.Add: plain("Sum"),
    layers.Mul: _mul,
    layers.Sub: plain("Sub"),
    layers.Div: plain("Div"),
    layers.Concat: _concat,
    layers.Softmax: _softmax,
    layers.Permute: _permute,
    layers.Reshape: _reshape,
    layers.Slice: _slice,
    layers.ReduceMean: _reduce_mean,
    layers.ReduceSum: _reduce_sum,
    layers.ReduceMax: _reduce_max,
    layers.HardSigmoid: _hard_sigmoid,
    layers.HardSwish: _hard_swish,
    layers.Mish: _mish,
    layers.PReLU: _prelu,
    layers.Clip: _clip,
    layers.Exp: plain("Exp"),
    layers.Sqrt: plain("Sqrt"),
    layers.Power: _power,
    layers.Abs: plain("Abs"),
    layers.Log: plain("Log"),
    layers.Erf: plain("Erf"),
}
