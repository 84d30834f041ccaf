"""What pools over windows are in ONNX. See `nodes`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from convserve import layers
from convserve.layers import Layer
from convserve.layers.fields import Pairs
from onnx import TensorProto

from convserve_server.engines.cpu.nodes import Emit, flat_pads, padded, plain
from convserve_server.engines.cpu.windows import pairs
from convserve_server.engines.cpu.writer import Writer
from convserve_server.engines.reference.pool import divisors, strides
from convserve_server.planning.program import Step

Pool: TypeAlias = layers.MaxPool | layers.AvgPool | layers.LpPool


def _max_pool(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    layer = step.layer
    assert isinstance(layer, layers.MaxPool)
    source, attributes = _framed(writer, step, layer, x[0], -math.inf)

    def pool(name: str) -> str:
        return writer.add("MaxPool", name, **attributes)

    # Taps further apart than the input is long can miss it: a window of padding only.
    sizes = step.inputs[0].shape[2:]
    missed = any(d > size for d, size in zip(layer.dilation, sizes, strict=True))
    return pool_safely(writer, source, pool, careful=missed)


def _global_max_pool(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    return pool_safely(writer, x[0], lambda name: writer.add("GlobalMaxPool", name))


def pool_safely(
    writer: Writer, source: str, pool: Callable[[str], str], *, careful: bool = False
) -> str:
    """A max pool that keeps NaN and minus infinity.

    ONNX Runtime's drop NaN and start at the lowest finite number. Finite sums of the inputs prove
    that it does not matter; for others the careful graph asks what is in each window.
    """
    if not (writer.careful or careful):
        writer.probes.append(writer.add("ReduceSum", source, keepdims=0))
        return pool(source)
    zero, lowest = writer.scalar(0), writer.scalar(-math.inf)

    def holds(kind: str) -> str:
        marks = pool(writer.add("Cast", kind, to=TensorProto.FLOAT))
        return writer.add("Greater", marks, zero)

    above = holds(writer.add("Greater", source, lowest))
    number = writer.add("Where", above, pool(source), lowest)
    lost = holds(writer.add("IsNaN", source))
    return writer.add("Where", lost, writer.scalar(math.nan), number)


def _avg_pool(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    """What `ceil_mode` adds never counts, so windows that reach it are rescaled."""
    layer = step.layer
    assert isinstance(layer, layers.AvgPool)
    source, attributes = _framed(writer, step, layer, x[0], 0.0)
    by_real = "pads" in attributes and not layer.count_include_pad
    mean = writer.add("AveragePool", source, **attributes, count_include_pad=int(not by_real))
    counts = divisors(layer, step.inputs[0].shape[2:], step.output.shape[2:])
    taps = math.prod(layer.kernel_size)
    if by_real or (counts == taps).all():
        return mean
    return writer.add("Mul", mean, writer.constant((taps / counts).astype(np.float32)))


def _lp_pool(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    layer = step.layer
    assert isinstance(layer, layers.LpPool)
    source, attributes = _framed(writer, step, layer, x[0], 0.0)
    return writer.add("LpPool", source, **attributes, p=layer.p)


def _global_lp_pool(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.GlobalLpPool)
    return writer.add("GlobalLpPool", *x, p=step.layer.p)


def _framed(
    writer: Writer, step: Step, layer: Pool, x: str, border: float
) -> tuple[str, dict[str, Any]]:
    """What to pool, and the numbers: with pads, or padded already where a pool takes no so many."""
    needed = _needed_pads(step, layer)
    attributes = {
        "kernel_shape": layer.kernel_size,
        "strides": strides(layer),
        "dilations": layer.dilation,
    }
    if any(max(pair) >= size for pair, size in zip(needed, layer.kernel_size, strict=True)):
        return padded(writer, x, needed, "zeros", border), attributes
    return x, attributes | {"pads": flat_pads(needed)}


def _needed_pads(step: Step, layer: Pool) -> Pairs:
    """The pads with which floor((L + low + high - e) / stride) + 1 is the step's output size."""
    return tuple(
        (low, max(0, (count - 1) * s + d * (k - 1) + 1 - size - low))
        for size, count, (low, _), k, s, d in zip(
            step.inputs[0].shape[2:],
            step.output.shape[2:],
            pairs(layer.padding),
            layer.kernel_size,
            strides(layer),
            layer.dilation,
            strict=True,
        )
    )


EMITTERS: dict[type[Layer], Emit] = {
    layers.MaxPool: _max_pool,
    layers.AvgPool: _avg_pool,
    layers.LpPool: _lp_pool,
    layers.GlobalAvgPool: plain("GlobalAveragePool"),
    layers.GlobalMaxPool: _global_max_pool,
    layers.GlobalLpPool: _global_lp_pool,
}
