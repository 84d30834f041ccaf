"""The plain convolutions that a layer is made of, as a library for GPUs computes them."""

from __future__ import annotations

import math
from typing import TypeAlias

from attrs import frozen
from convserve.layers import Conv, ConvTranspose, DepthwiseConv, SeparableConv, SubPixelConv
from convserve.layers.fields import Ints, Pairs
from convserve.tensors import TensorSpec, dtype_of

from convserve_server.planning.program import Step

_Window: TypeAlias = Conv | ConvTranspose | DepthwiseConv | SeparableConv | SubPixelConv


@frozen
class PlainConv:
    """One convolution with zeros around its input: `input` (N, C, *L) to `output` (N, K, *L').

    `weight` is (K, C / groups, *kernel_size). A `transposed` one leads back, from `output` to
    `input`. `copied_bytes` are those of an input that must be padded before, with something else.
    """

    input: TensorSpec
    weight: TensorSpec
    output: TensorSpec
    stride: Ints
    padding: Pairs
    dilation: Ints
    transposed: bool = False
    copied_bytes: int = 0

    @property
    def read(self) -> TensorSpec:
        """What it reads, beside the weight."""
        return self.output if self.transposed else self.input

    @property
    def result(self) -> TensorSpec:
        """What it gives."""
        return self.input if self.transposed else self.output

    @property
    def groups(self) -> int:
        """The independent groups of channels."""
        return self.input.shape[1] // self.weight.shape[1]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be computed."""
        return 0 in (*self.input.shape, *self.weight.shape, *self.output.shape)


def plain_convs(step: Step) -> tuple[PlainConv, ...]:
    """The convolutions of a step, in the order in which they run; none for other layers."""
    layer = step.layer
    weights = step.weights
    match layer:
        case Conv() | DepthwiseConv():
            return (_conv(layer, step.inputs[0], weights["weight"], step.output),)
        case SubPixelConv():
            between = _before_shuffle(step.output, weights["weight"].shape[0], layer.factor)
            return (_conv(layer, step.inputs[0], weights["weight"], between),)
        case SeparableConv():
            deep, pointwise = weights["depthwise_weight"], weights["pointwise_weight"]
            between = _with_channels(step.output, deep.shape[0])
            ones = (1,) * len(layer.kernel_size)
            first = _conv(layer, step.inputs[0], deep, between)
            zeros = tuple((0, 0) for _ in ones)
            return first, PlainConv(between, pointwise, step.output, ones, zeros, ones)
        case ConvTranspose():
            return (_transposed(layer, step, weights["weight"]),)
    return ()


def _transposed(layer: ConvTranspose, step: Step, weight: TensorSpec) -> PlainConv:
    return PlainConv(
        step.output, weight, step.inputs[0], layer.stride, _pairs(layer), layer.dilation, True
    )


def _conv(
    layer: Conv | DepthwiseConv | SeparableConv | SubPixelConv,
    x: TensorSpec,
    weight: TensorSpec,
    y: TensorSpec,
) -> PlainConv:
    padding = _pairs(layer)
    if layer.padding_mode == "zeros" or not any(map(any, padding)):
        return PlainConv(x, weight, y, layer.stride, padding, layer.dilation)
    sizes = (size + low + high for size, (low, high) in zip(x.shape[2:], padding, strict=True))
    padded = TensorSpec(x.name, x.dtype, (*x.shape[:2], *sizes))
    copied = math.prod(padded.shape) * dtype_of(x.dtype).itemsize
    zeros = tuple((0, 0) for _ in padding)
    return PlainConv(padded, weight, y, layer.stride, zeros, layer.dilation, copied_bytes=copied)


def _pairs(layer: _Window) -> Pairs:
    """The padding of a resolved layer, which has no mode any more."""
    assert not isinstance(layer.padding, str)
    return layer.padding


def _before_shuffle(y: TensorSpec, channels: int, factor: int) -> TensorSpec:
    batch, _, *sizes = y.shape
    return TensorSpec(y.name, y.dtype, (batch, channels, *(size // factor for size in sizes)))


def _with_channels(y: TensorSpec, channels: int) -> TensorSpec:
    return TensorSpec(y.name, y.dtype, (y.shape[0], channels, *y.shape[2:]))
