"""What normalisations are in ONNX. See `nodes`."""

from __future__ import annotations

import math

from convserve import layers
from convserve.layers import Layer

from convserve_server.engines.cpu.nodes import Emit, per_channel, reshaped
from convserve_server.engines.cpu.writer import Writer
from convserve_server.planning.program import Step


def _local_response_norm(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    """By a mean over windows of channels.

    ONNX Runtime's own LRN takes odd sizes only, and more time: 8.8 ms against 3.5 for 96x55x55 on
    two cores.
    """
    layer, channels = step.layer, step.inputs[0].shape[1]
    assert isinstance(layer, layers.LocalResponseNorm)
    before, after = (min(count, channels - 1) for count in layer.window)
    kernel = before + 1 + after
    squares = reshaped(writer, writer.add("Mul", *x, *x), (1, channels, -1))
    mean = writer.add(
        "AveragePool",
        squares,
        kernel_shape=[kernel, 1],
        pads=[before, 0, after, 0],
        count_include_pad=1,
    )
    share = writer.scalar(layer.alpha * kernel / layer.size)
    total = writer.add("Add", writer.add("Mul", mean, share), writer.scalar(layer.k))
    power = writer.add("Pow", total, writer.scalar(layer.beta))
    return writer.add("Div", *x, reshaped(writer, power, step.output.shape[1:]))


def _layer_norm(writer: Writer, step: Step, x: list[str], weights: list[str]) -> str:
    layer = step.layer
    assert isinstance(layer, layers.LayerNorm)
    weights = weights or [_ones(writer, step.output.shape[-layer.axes :])]
    return writer.add("LayerNormalization", *x, *weights, axis=-layer.axes, epsilon=layer.eps)


def _group_norm(writer: Writer, step: Step, x: list[str], weights: list[str]) -> str:
    assert isinstance(step.layer, layers.GroupNorm)
    return _by_groups(writer, step, x[0], weights, step.layer.groups, step.layer.eps)


def _instance_norm(writer: Writer, step: Step, x: list[str], weights: list[str]) -> str:
    assert isinstance(step.layer, layers.InstanceNorm)
    return _by_groups(writer, step, x[0], weights, step.output.shape[1], step.layer.eps)


def _by_groups(
    writer: Writer, step: Step, x: str, weights: list[str], groups: int, eps: float
) -> str:
    """Each group as a row of its own.

    ONNX Runtime's InstanceNormalization loses more digits where the mean is far from 0.
    """
    sample = step.output.shape[1:]
    size = math.prod(sample) // groups
    rows, ones = reshaped(writer, x, (groups, size)), _ones(writer, (size,))
    normal = writer.add("LayerNormalization", rows, ones, axis=-1, epsilon=eps)
    return _scaled(writer, reshaped(writer, normal, sample), weights, len(sample))


def _scale(writer: Writer, step: Step, x: list[str], weights: list[str]) -> str:
    assert isinstance(step.layer, layers.Scale)
    return _scaled(writer, x[0], weights, len(step.output.shape) - step.layer.axis)


def _scaled(writer: Writer, x: str, weights: list[str], axes: int) -> str:
    """Times the first weight, plus the second, along the first of the last `axes` axes."""
    for op, weight in zip(("Mul", "Add"), weights, strict=False):
        x = writer.add(op, x, per_channel(writer, weight, axes + 1))
    return x


def _ones(writer: Writer, shape: tuple[int, ...]) -> str:
    """Made by ONNX Runtime, so that the model stays small."""
    return writer.add("Expand", writer.scalar(1), writer.integers(shape))


EMITTERS: dict[type[Layer], Emit] = {
    layers.LocalResponseNorm: _local_response_norm,
    layers.LayerNorm: _layer_norm,
    layers.GroupNorm: _group_norm,
    layers.InstanceNorm: _instance_norm,
    layers.Scale: _scale,
}
