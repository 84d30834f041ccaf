"""What most kinds of layers are in ONNX: one function per kind. `emitters` lists all of them.

A function appends nodes for a resolved step, given the names of its inputs and weights in float32,
and returns the name of the result. Pads are always explicit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from convserve import layers
from convserve.layers import Layer
from convserve.layers.fields import Pairs

from convserve_server.engines.cpu.windows import pairs
from convserve_server.engines.cpu.writer import Writer
from convserve_server.planning.program import Step

# From a resolved step and the names of its inputs and weights to the name of its result.
Emit: TypeAlias = Callable[[Writer, Step, list[str], list[str]], str]

_PAD_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _conv(writer: Writer, step: Step, x: list[str], weights: list[str]) -> str:
    layer = step.layer
    assert isinstance(layer, layers.Conv)
    pads, source = pairs(layer.padding), x[0]
    if layer.padding_mode != "zeros":
        source = padded(writer, source, pads, layer.padding_mode)
        pads = ((0, 0),) * len(pads)
    return writer.add(
        "Conv",
        source,
        *weights,
        kernel_shape=layer.kernel_size,
        strides=layer.stride,
        dilations=layer.dilation,
        group=layer.groups,
        pads=flat_pads(pads),
    )


def _conv_transpose(writer: Writer, step: Step, x: list[str], weights: list[str]) -> str:
    layer = step.layer
    assert isinstance(layer, layers.ConvTranspose)
    return writer.add(
        "ConvTranspose",
        *x,
        *weights,
        kernel_shape=layer.kernel_size,
        strides=layer.stride,
        dilations=layer.dilation,
        group=layer.groups,
        output_padding=layer.output_padding,
        pads=flat_pads(pairs(layer.padding)),
    )


def _dense(writer: Writer, step: Step, x: list[str], weights: list[str]) -> str:
    if len(step.output.shape) == 2:
        return writer.add("Gemm", *x, *weights, transB=1)
    weight, *bias = weights
    product = writer.add("MatMul", *x, writer.add("Transpose", weight, perm=[1, 0]))
    return writer.add("Add", product, *bias) if bias else product


def _batch_norm(writer: Writer, step: Step, x: list[str], weights: list[str]) -> str:
    layer = step.layer
    assert isinstance(layer, layers.BatchNorm)
    by_role = dict(zip(step.weights, weights, strict=True))
    channels = step.inputs[0].shape[1]
    for role, value in (("weight", 1), ("bias", 0)):
        if role not in by_role:
            by_role[role] = writer.constant(np.full(channels, value, np.float32))
    order = ("weight", "bias", "running_mean", "running_var")
    return writer.add(
        "BatchNormalization", *x, *(by_role[role] for role in order), epsilon=layer.eps
    )


def _leaky_relu(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.LeakyReLU)
    return writer.add("LeakyRelu", *x, alpha=step.layer.negative_slope)


def _relu6(writer: Writer, _: Step, x: list[str], __: list[str]) -> str:
    return writer.add("Clip", *x, writer.scalar(0), writer.scalar(6))


def _silu(writer: Writer, _: Step, x: list[str], __: list[str]) -> str:
    return writer.add("Mul", *x, writer.add("Sigmoid", *x))


def _elu(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.ELU)
    return writer.add("Elu", *x, alpha=step.layer.alpha)


def _softplus(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.Softplus)
    beta = writer.scalar(step.layer.beta)
    return writer.add("Div", writer.add("Softplus", writer.add("Mul", *x, beta)), beta)


def _rescale(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.Rescale)
    scaled = writer.add("Mul", *x, writer.scalar(step.layer.factor))
    return writer.add("Add", scaled, writer.scalar(step.layer.offset))


def _pad(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    layer = step.layer
    assert isinstance(layer, layers.Pad)
    return padded(writer, x[0], pairs(layer.padding), layer.mode, layer.value)


def _pixel_shuffle(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.PixelShuffle)
    sizes, r = step.inputs[0].shape[2:], step.layer.factor
    rank = len(sizes)
    split = reshaped(writer, x[0], (step.output.shape[1], *(r for _ in sizes), *sizes))
    order = [axis for i in range(rank) for axis in (2 + rank + i, 2 + i)]
    moved = writer.add("Transpose", split, perm=[0, 1, *order])
    return reshaped(writer, moved, step.output.shape[1:])


def _pixel_unshuffle(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.PixelUnshuffle)
    sizes, r = step.output.shape[2:], step.layer.factor
    parts = [part for size in sizes for part in (size, r)]
    split = reshaped(writer, x[0], (step.inputs[0].shape[1], *parts))
    inner, outer = range(3, 3 + len(parts), 2), range(2, 2 + len(parts), 2)
    moved = writer.add("Transpose", split, perm=[0, 1, *inner, *outer])
    return reshaped(writer, moved, step.output.shape[1:])


def plain(op: str, **attributes: Any) -> Emit:
    """An emitter of one node without weights."""

    def emit(writer: Writer, _: Step, x: list[str], __: list[str]) -> str:
        return writer.add(op, *x, **attributes)

    return emit


def padded(writer: Writer, x: str, pads: Pairs, mode: str, value: float = 0.0) -> str:
    """With (low, high) elements around the spatial axes.

    The axes are named, which keeps ONNX Runtime from moving the padding into a pool behind: there
    it would be minus infinity for a maximum, and an error where it is wider than the window.
    """
    sizes = writer.integers(flat_pads(pads))
    axes = writer.integers(range(2, 2 + len(pads)))
    return writer.add("Pad", x, sizes, writer.scalar(value), axes, mode=_PAD_MODES[mode])


def reshaped(writer: Writer, x: str, sample_shape: Sequence[int]) -> str:
    """The batch axis kept (0 in ONNX), the others as given."""
    return writer.add("Reshape", x, writer.integers((0, *sample_shape)))


def per_channel(writer: Writer, weight: str, rank: int) -> str:
    """(C) as (C, 1, ...), which broadcasts over tensors of `rank` axes."""
    return writer.add("Reshape", weight, writer.integers((-1, *[1] * (rank - 2))))


def flat_pads(pads: Pairs) -> list[int]:
    """All lows, then all highs, as ONNX has them."""
    return [low for low, _ in pads] + [high for _, high in pads]


EMITTERS: dict[type[Layer], Emit] = {
    layers.Conv: _conv,
    layers.ConvTranspose: _conv_transpose,
    layers.ReLU: plain("Relu"),
    layers.LeakyReLU: _leaky_relu,
    layers.ReLU6: _relu6,
    layers.GELU: plain("Gelu"),
    layers.SiLU: _silu,
    layers.Sigmoid: plain("Sigmoid"),
    layers.Tanh: plain("Tanh"),
    layers.ELU: _elu,
    layers.Softplus: _softplus,
    layers.BatchNorm: _batch_norm,
    layers.Dense: _dense,
    layers.Flatten: plain("Flatten", axis=1),
    layers.Pad: _pad,
    layers.PixelShuffle: _pixel_shuffle,
    layers.PixelUnshuffle: _pixel_unshuffle,
    layers.Rescale: _rescale,
}
