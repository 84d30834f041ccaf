"""The oracle of joins, other shapes, parts, reductions and plain functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from convserve import layers
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # as everyone writes it


def slice_axis(layer: layers.Slice, x: Tensor) -> Tensor:
    part = slice(layer.start, layer.stop, layer.step)
    return x.movedim(layer.axis, 0)[part].movedim(0, layer.axis)


def clip(layer: layers.Clip, x: Tensor) -> Tensor:
    low = -math.inf if layer.low is None else layer.low
    return x.clamp(low, math.inf if layer.high is None else layer.high)


def hard_sigmoid(layer: layers.HardSigmoid, x: Tensor) -> Tensor:
    return (layer.alpha * x + layer.beta).clamp(0, 1)


def reduction(name: str) -> Callable[..., Tensor]:
    def reduce(layer: Any, x: Tensor) -> Tensor:
        function: Callable[..., Tensor] = getattr(torch, name)
        return function(x, layer.axes, keepdim=layer.keepdims)

    return reduce


LAYERS: dict[type[layers.Layer], Callable[..., Tensor]] = {
    layers.Mul: lambda _, *inputs: math.prod(inputs[1:], start=inputs[0]),
    layers.Sub: lambda _, a, b: a - b,
    layers.Div: lambda _, a, b: a / b,
    layers.Concat: lambda layer, *inputs: torch.cat(inputs, dim=layer.axis),
    layers.Softmax: lambda layer, x: F.softmax(x, dim=layer.axis),
    layers.Permute: lambda layer, x: x.permute(0, *layer.order),
    layers.Reshape: lambda layer, x: x.reshape(len(x), *_known(layer.shape, x)),
    layers.Slice: slice_axis,
    layers.ReduceMean: reduction("mean"),
    layers.ReduceMax: reduction("amax"),
    layers.ReduceSum: reduction("sum"),
    layers.HardSigmoid: hard_sigmoid,
    layers.HardSwish: lambda _, x: F.hardswish(x),
    layers.Mish: lambda _, x: F.mish(x),
    layers.PReLU: lambda _, x, weight: F.prelu(x, weight),
    layers.Clip: clip,
    layers.Exp: lambda _, x: x.exp(),
    layers.Sqrt: lambda _, x: x.sqrt(),
    layers.Power: lambda layer, x: x.pow(torch.full_like(x, layer.exponent)),
    layers.Abs: lambda _, x: x.abs(),
    layers.Log: lambda _, x: x.log(),
    layers.Erf: lambda _, x: x.erf(),
}


def _known(shape: tuple[int, ...], x: Tensor) -> list[int]:
    """The shape without -1, which PyTorch cannot resolve in an empty batch."""
    rest = math.prod(x.shape[1:]) // math.prod(size for size in shape if size != -1)
    return [rest if size == -1 else size for size in shape]
