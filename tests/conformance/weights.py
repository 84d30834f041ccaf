"""The shapes of the weights of each kind of layer, worked out apart from the planner."""

from __future__ import annotations

from convserve import layers as cs
from convserve.layers import Layer
from convserve.tensors import Shape


def weights_of_conv(layer: Layer, sample: Shape) -> dict[str, Shape]:
    """Those of a layer that is a convolution in other words, on a sample (C, *L), by role."""
    channels, rank = sample[0], len(sample) - 1
    match layer:
        case cs.DepthwiseConv():
            count = channels * layer.depth_multiplier
            return _with_bias(layer.bias, {"weight": (count, 1, *_kernel(layer, rank))}, count)
        case cs.SeparableConv():
            count = channels * layer.depth_multiplier
            shapes = {
                "depthwise_weight": (count, 1, *_kernel(layer, rank)),
                "pointwise_weight": (layer.out_channels, count, *[1] * rank),
            }
            return _with_bias(layer.bias, shapes, layer.out_channels)
        case cs.SubPixelConv():
            count = layer.out_channels * layer.factor**rank
            shapes = {"weight": (count, channels // layer.groups, *_kernel(layer, rank))}
            return _with_bias(layer.bias, shapes, count)
        case cs.GraphConv():
            shapes = {
                "filters": (layer.filters, channels, channels),
                "weight": (layer.filters * sample[1], layer.out_features),
            }
            return _with_bias(layer.bias, shapes, layer.out_features)
        case cs.DeformConv() | cs.IntegerConv() | cs.QuantizedConv():
            return _weights_of_grouped(layer, channels, rank)
    return {}


def weights_of_norm(layer: Layer, sample: Shape) -> dict[str, Shape]:
    """Those of a normalisation by statistics, or of a scale, on a sample (C, *L), by role."""
    match layer:
        case cs.LayerNorm(affine=True):
            return dict.fromkeys(("weight", "bias"), sample[-layer.axes :])
        case cs.GroupNorm(affine=True) | cs.InstanceNorm(affine=True):
            return dict.fromkeys(("weight", "bias"), sample[:1])
        case cs.Scale():
            size = sample[layer.axis - (layer.axis > 0)]
            return _with_bias(layer.bias, {"weight": (size,)}, size)
    return {}


def _weights_of_grouped(
    layer: cs.DeformConv | cs.IntegerConv | cs.QuantizedConv, channels: int, rank: int
) -> dict[str, Shape]:
    count = layer.out_channels
    shapes: dict[str, Shape] = {"weight": (count, channels // layer.groups, *_kernel(layer, rank))}
    if isinstance(layer, cs.IntegerConv):
        return shapes | {"input_zero_point": (1,), "weight_zero_point": (count,)}
    if isinstance(layer, cs.DeformConv):
        return _with_bias(layer.bias, shapes, count)
    sides = {"input": (1,), "weight": (count,), "output": (1,)}
    for side, shape in sides.items():
        shapes |= {f"{side}_scale": shape, f"{side}_zero_point": shape}
    return _with_bias(layer.bias, shapes, count)


def _with_bias(bias: bool, shapes: dict[str, Shape], count: int) -> dict[str, Shape]:
    return shapes | {"bias": (count,)} if bias else shapes


def _kernel(
    layer: cs.DepthwiseConv
    | cs.SeparableConv
    | cs.SubPixelConv
    | cs.DeformConv
    | cs.IntegerConv
    | cs.QuantizedConv,
    rank: int,
) -> Shape:
    values = layer.kernel_size
    return values * rank if len(values) == 1 else values
