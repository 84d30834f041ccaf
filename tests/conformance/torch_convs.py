"""The oracle of convolutions in other words, of norms by statistics, and of columns."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from attrs import evolve
from convserve import layers
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # as everyone writes it

from tests.conformance.torch_common import by_rank, pad


def depthwise_conv(
    layer: layers.DepthwiseConv | layers.SeparableConv,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
) -> Tensor:
    x = pad(x, layer.padding, layer.padding_mode)
    return by_rank("conv", x)(x, weight, bias, layer.stride, 0, layer.dilation, x.shape[1])


def separable_conv(
    layer: layers.SeparableConv,
    x: Tensor,
    depthwise_weight: Tensor,
    pointwise_weight: Tensor,
    bias: Tensor | None = None,
) -> Tensor:
    y = depthwise_conv(layer, x, depthwise_weight)
    return by_rank("conv", x)(y, pointwise_weight, bias)


def sub_pixel_conv(
    layer: layers.SubPixelConv, x: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """PyTorch shuffles two axes; one axis is two with a factor of 1 on the other."""
    x = pad(x, layer.padding, layer.padding_mode)
    y = by_rank("conv", x)(x, weight, bias, layer.stride, 0, layer.dilation, layer.groups)
    if y.ndim == 4:
        return F.pixel_shuffle(y, layer.factor)
    rank, factor = y.ndim - 2, layer.factor
    result = y.new_empty(len(y), layer.out_channels, *(size * factor for size in y.shape[2:]))
    for channel in range(y.shape[1]):
        kept, offset = divmod(channel, factor**rank)
        starts = [offset // factor ** (rank - 1 - axis) % factor for axis in range(rank)]
        result[(slice(None), kept, *(slice(start, None, factor) for start in starts))] = y[
            :, channel
        ]
    return result


def deform_conv(layer: layers.DeformConv, *tensors: Tensor, **weights: Tensor) -> Tensor:
    """Every tap by PyTorch's bilinear sampling, then a convolution of kernel size 1 over them."""
    x, offset, *mask = tensors
    x = pad(x, layer.padding)
    batch, groups, taps = len(x), layer.offset_groups, math.prod(layer.kernel_size)
    sizes = offset.shape[2:]
    places = offset.reshape(batch * groups, taps, 2, *sizes)
    sources = x.reshape(batch * groups, x.shape[1] // groups, *x.shape[2:])
    values = [
        F.grid_sample(sources, _grid(layer, tap, places[:, number], x), align_corners=False)
        for number, tap in enumerate(np.ndindex(*layer.kernel_size))
    ]
    sampled = torch.stack(values, dim=2).unflatten(0, (batch, groups))
    if mask:
        sampled = sampled * mask[0].reshape(batch, groups, 1, taps, *sizes)
    flat = weights["weight"].flatten(1)[..., None, None]
    return F.conv2d(sampled.flatten(1, 3), flat, weights.get("bias"), groups=layer.groups)


def _grid(layer: layers.DeformConv, tap: tuple[int, ...], places: Tensor, x: Tensor) -> Tensor:
    """Where a tap reads, x before y, from -1 to 1 over the outer edges of the image."""
    parts = []
    for axis in (1, 0):
        shape = [1, -1, 1] if axis == 0 else [1, 1, -1]
        steps = torch.arange(places.shape[2 + axis], dtype=x.dtype).reshape(shape)
        base = steps * layer.stride[axis] + tap[axis] * layer.dilation[axis]
        parts.append((2 * (base + places[:, axis]) + 1) / x.shape[2 + axis] - 1)
    return torch.stack(parts, dim=-1)


def local_response_norm(layer: layers.LocalResponseNorm, x: Tensor) -> Tensor:
    """PyTorch wants a spatial axis, and has one window only."""
    if layer.window[0] != layer.size // 2:
        padded = F.pad((x * x).movedim(1, -1), layer.window)
        sums = padded.unfold(-1, layer.size, 1).sum(-1).movedim(-1, 1)
        return x / (layer.k + layer.alpha / layer.size * sums) ** layer.beta
    y = F.local_response_norm(x[..., None], layer.size, layer.alpha, layer.beta, layer.k)
    return y[..., 0]


def layer_norm(layer: layers.LayerNorm, x: Tensor, **weights: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-layer.axes :], **weights, eps=layer.eps)


def instance_norm(layer: layers.InstanceNorm, x: Tensor, **weights: Tensor) -> Tensor:
    """As a group for each channel, which PyTorch also takes without samples."""
    return F.group_norm(x, x.shape[1], **weights, eps=layer.eps)


def graph_conv(
    layer: layers.GraphConv, x: Tensor, filters: Tensor, weight: Tensor, bias: Tensor | float = 0.0
) -> Tensor:
    matrices = weight.reshape(layer.filters, x.shape[2], -1)
    return torch.einsum("kmn,bnf,kfo->bmo", filters, x, matrices) + bias


def unfold(layer: layers.Unfold | layers.Fold, x: Tensor) -> Tensor:
    """Windows of each axis as PyTorch's tensors have them; its F.unfold takes two axes only."""
    x = pad(x, layer.padding)
    rank = x.ndim - 2
    for axis in range(rank):
        reach = layer.dilation[axis] * (layer.kernel_size[axis] - 1) + 1
        x = x.unfold(axis + 2, reach, layer.stride[axis])[..., :: layer.dilation[axis]]
    kernel = range(2 + rank, 2 + 2 * rank)
    columns = x.permute(0, 1, *kernel, *range(2, 2 + rank))
    return columns.flatten(2 + rank).flatten(1, 1 + rank)


def fold(layer: layers.Fold, x: Tensor) -> Tensor:
    """The gradient of `unfold`, which is its adjoint."""
    rank = len(layer.output_size)
    fields = ("kernel_size", "stride", "padding", "dilation")
    numbers: dict[str, Any] = {
        name: values * rank if len(values) == 1 else values
        for name in fields
        for values in [getattr(layer, name)]
    }
    layer = evolve(layer, **numbers)
    channels = x.shape[1] // math.prod(layer.kernel_size)
    image = torch.zeros(len(x), channels, *layer.output_size, dtype=x.dtype, requires_grad=True)
    (result,) = torch.autograd.grad(unfold(layer, image), image, x)
    return result


def scale(layer: layers.Scale, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    y = x.transpose(layer.axis, -1) * weight
    return (y if bias is None else y + bias).transpose(layer.axis, -1)


LAYERS: dict[type[layers.Layer], Callable[..., Tensor]] = {
    layers.DepthwiseConv: depthwise_conv,
    layers.SeparableConv: separable_conv,
    layers.SubPixelConv: sub_pixel_conv,
    layers.DeformConv: deform_conv,
    layers.LocalResponseNorm: local_response_norm,
    layers.LayerNorm: layer_norm,
    layers.GroupNorm: lambda layer, x, **weights: F.group_norm(
        x, layer.groups, **weights, eps=layer.eps
    ),
    layers.InstanceNorm: instance_norm,
    layers.GraphConv: graph_conv,
    layers.Unfold: unfold,
    layers.Fold: fold,
    layers.Scale: scale,
}
