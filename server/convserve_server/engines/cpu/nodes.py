"""What each kind of layer is in ONNX: one function per kind, and the one list of them.

A function appends nodes for a resolved step, given the names of its inputs and weights in float32,
and returns the name of the result. Pads are always explicit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from convserve import layers
from convserve.layers import Layer
from convserve.layers.fields import Ints, Pairs
from onnx import TensorProto

from convserve_server.engines.cpu.windows import pairs
from convserve_server.engines.cpu.writer import Writer
from convserve_server.planning.program import Step

_PAD_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _conv(writer: Writer, step: Step, x: list[str], weights: list[str]) -> str:
    layer = step.layer
    assert isinstance(layer, layers.Conv)
    pads, source = pairs(layer.padding), x[0]
    if layer.padding_mode != "zeros":
        source = _padded(writer, source, pads, layer.padding_mode)
        pads = ((0, 0),) * len(pads)
    return writer.add(
        "Conv",
        source,
        *weights,
        kernel_shape=layer.kernel_size,
        strides=layer.stride,
        dilations=layer.dilation,
        group=layer.groups,
        pads=_flat(pads),
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
        pads=_flat(pairs(layer.padding)),
    )


def _max_pool(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    layer = step.layer
    assert isinstance(layer, layers.MaxPool)
    needed = _needed_pads(step, layer.kernel_size, _strides(layer), layer.dilation)
    attributes: dict[str, Any] = {
        "kernel_shape": layer.kernel_size,
        "strides": _strides(layer),
        "dilations": layer.dilation,
    }
    source = x[0]
    if any(max(pair) >= size for pair, size in zip(needed, layer.kernel_size, strict=True)):
        source = _padded(writer, source, needed, "zeros", -math.inf)  # beyond what MaxPool takes
    else:
        attributes["pads"] = _flat(needed)

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
    strides, pads = _strides(layer), pairs(layer.padding)
    needed = _needed_pads(step, layer.kernel_size, strides, (1,) * len(strides))
    mean = writer.add(
        "AveragePool",
        *x,
        kernel_shape=layer.kernel_size,
        strides=strides,
        pads=_flat(needed),
        count_include_pad=int(layer.count_include_pad),
    )
    beyond = any(need[1] > pair[1] for need, pair in zip(needed, pads, strict=True))
    if not (beyond and layer.count_include_pad):
        return mean
    ratio = np.ones((), np.float64)
    for size, k, s, (low, high), count in zip(
        step.inputs[0].shape[2:],
        layer.kernel_size,
        strides,
        pads,
        step.output.shape[2:],
        strict=True,
    ):
        first = np.arange(count) * s - low
        ratio = np.multiply.outer(ratio, k / (np.minimum(first + k, size + high) - first))
    return writer.add("Mul", mean, writer.constant(ratio.astype(np.float32)))


def _needed_pads(step: Step, kernel: Ints, strides: Ints, dilation: Ints) -> Pairs:
    """The pads with which floor((L + low + high - e) / stride) + 1 is the step's output size."""
    layer = step.layer
    assert isinstance(layer, layers.MaxPool | layers.AvgPool)
    sizes = zip(step.inputs[0].shape[2:], step.output.shape[2:], strict=True)
    return tuple(
        (low, max(0, (count - 1) * s + d * (k - 1) + 1 - size - low))
        for (size, count), (low, _), k, s, d in zip(
            sizes, pairs(layer.padding), kernel, strides, dilation, strict=True
        )
    )


def _dense(writer: Writer, _: Step, x: list[str], weights: list[str]) -> str:
    return writer.add("Gemm", *x, *weights, transB=1)


def _batch_norm(writer: Writer, step: Step, x: list[str], weights: list[str]) -> str:
    layer = step.layer
    assert isinstance(layer, layers.BatchNorm)
    by_role = dict(zip((s.name.rpartition(".")[2] for s in step.parameters), weights, strict=True))
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


def _pad(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    layer = step.layer
    assert isinstance(layer, layers.Pad)
    return _padded(writer, x[0], pairs(layer.padding), layer.mode, layer.value)


def _upsample(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.Upsample)
    scales = writer.constant(np.array((1, 1, *step.layer.scale), np.float32))
    return writer.add(
        "Resize",
        *x,
        "",
        scales,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _pixel_shuffle(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.PixelShuffle)
    sizes, r = step.inputs[0].shape[2:], step.layer.factor
    rank = len(sizes)
    split = _reshaped(writer, x[0], (step.output.shape[1], *(r for _ in sizes), *sizes))
    order = [axis for i in range(rank) for axis in (2 + rank + i, 2 + i)]
    moved = writer.add("Transpose", split, perm=[0, 1, *order])
    return _reshaped(writer, moved, step.output.shape[1:])


def _pixel_unshuffle(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.PixelUnshuffle)
    sizes, r = step.output.shape[2:], step.layer.factor
    parts = [part for size in sizes for part in (size, r)]
    split = _reshaped(writer, x[0], (step.inputs[0].shape[1], *parts))
    inner, outer = range(3, 3 + len(parts), 2), range(2, 2 + len(parts), 2)
    moved = writer.add("Transpose", split, perm=[0, 1, *inner, *outer])
    return _reshaped(writer, moved, step.output.shape[1:])


def _plain(op: str, **attributes: Any) -> Callable[..., str]:
    """An emitter of one node without weights."""

    def emit(writer: Writer, _: Step, x: list[str], __: list[str]) -> str:
        return writer.add(op, *x, **attributes)

    return emit


def _padded(writer: Writer, x: str, pads: Pairs, mode: str, value: float = 0.0) -> str:
    spread = np.array([(0, 0), (0, 0), *pads], np.int64).T.reshape(-1)
    return writer.add(
        "Pad", x, writer.constant(spread), writer.scalar(value), mode=_PAD_MODES[mode]
    )


def _reshaped(writer: Writer, x: str, sample_shape: Sequence[int]) -> str:
    """The batch axis kept (0 in ONNX), the others as given."""
    return writer.add("Reshape", x, writer.constant(np.array((0, *sample_shape), np.int64)))


def _strides(layer: layers.MaxPool | layers.AvgPool) -> Ints:
    return layer.stride or layer.kernel_size


def _flat(pads: Pairs) -> list[int]:
    """All lows, then all highs, as ONNX has them."""
    return [low for low, _ in pads] + [high for _, high in pads]


EMITTERS: dict[type[Layer], Callable[[Writer, Step, list[str], list[str]], str]] = {
    layers.Conv: _conv,
    layers.ConvTranspose: _conv_transpose,
    layers.MaxPool: _max_pool,
    layers.AvgPool: _avg_pool,
    layers.GlobalAvgPool: _plain("GlobalAveragePool"),
    layers.GlobalMaxPool: _global_max_pool,
    layers.ReLU: _plain("Relu"),
    layers.LeakyReLU: _leaky_relu,
    layers.ReLU6: _relu6,
    layers.GELU: _plain("Gelu"),
    layers.SiLU: _silu,
    layers.Sigmoid: _plain("Sigmoid"),
    layers.Tanh: _plain("Tanh"),
    layers.ELU: _elu,
    layers.Softplus: _softplus,
    layers.BatchNorm: _batch_norm,
    layers.Dense: _dense,
    layers.Flatten: _plain("Flatten", axis=1),
    layers.Add: _plain("Sum"),
    layers.Concat: _plain("Concat", axis=1),
    layers.Softmax: _plain("Softmax", axis=1),
    layers.Pad: _pad,
    layers.Upsample: _upsample,
    layers.PixelShuffle: _pixel_shuffle,
    layers.PixelUnshuffle: _pixel_unshuffle,
}
