"""A batch normalisation as a part of the convolution before it: other weights, another bias.

    (conv(x) + bias - mean) * scale + shift = conv'(x) + (bias - mean) * scale + shift

with scale = weight / sqrt(variance + eps) per channel, and conv' of the weights times it.
"""

from __future__ import annotations

from attrs import evolve, frozen
from convserve.layers import BatchNorm, Conv, ConvTranspose

from convserve_server.engines.cuda.lowering.builder import Builder
from convserve_server.engines.cuda.views import View
from convserve_server.planning.program import Step


@frozen
class Folded:
    """What a convolution is computed with; both of its type, the bias (K)."""

    weight: View
    bias: View | None


def read_weights(builder: Builder, head: Step, norm: Step | None) -> Folded:
    """The weights of a convolution, with a normalisation behind it taken in. All is preparation."""
    dtype = head.output.dtype
    with builder.preparation():
        views = [builder.cast(builder.value(spec.name), dtype) for spec in head.parameters]
        given = Folded(views[0], views[1] if len(views) > 1 else None)
        return given if norm is None else _fold(builder, head, norm, given)


def _fold(builder: Builder, head: Step, norm: Step, given: Folded) -> Folded:
    assert isinstance(norm.layer, BatchNorm)
    dtype, channels = head.output.dtype, head.output.shape[1]
    sums = "float64" if dtype == "float64" else "float32"
    vectors = {
        role: builder.contiguous(view, sums) for role, view in builder.weights_of(norm).items()
    }
    factor = vectors.get("weight") or _filled(builder, sums, channels, 1.0)
    shift = vectors.get("bias") or _filled(builder, sums, channels, 0.0)
    bias = given.bias or _filled(builder, dtype, channels, 0.0)
    scale, folded_bias = builder.new(sums, (channels,)), builder.new(dtype, (channels,))
    variance, mean, eps = vectors["running_var"], vectors["running_mean"], norm.layer.eps
    builder.launch("FoldScale", (sums,), scale, factor, variance, eps, count=channels)
    builder.launch("FoldBias", (dtype,), folded_bias, bias, mean, scale, shift, count=channels)
    return Folded(_scaled(builder, head, given.weight, scale), folded_bias)


def _scaled(builder: Builder, head: Step, weight: View, scale: View) -> View:
    """The weights, those of each channel of the result times its scale."""
    made = builder.new(weight.dtype, weight.shape)
    target, source = _by_channel(head, made), _by_channel(head, weight)
    strides = (target.shape[1], 1, *[0] * (len(target.shape) - 2))
    spread = evolve(scale, shape=target.shape, strides=strides)
    builder.launch(
        "FoldWeight", (weight.dtype,), target, source, spread, count=target.element_count
    )
    return made


def _filled(builder: Builder, dtype: str, count: int, value: float) -> View:
    made = builder.new(dtype, (count,))
    builder.fill(made, value)
    return made


def _by_channel(head: Step, weight: View) -> View:
    """The weights as (groups, channels of the result in each, ...)."""
    if not isinstance(head.layer, ConvTranspose):
        groups = head.layer.groups if isinstance(head.layer, Conv) else 1
        return weight.split(0, (groups, weight.shape[0] // groups))
    split = weight.split(0, (head.layer.groups, weight.shape[0] // head.layer.groups))
    return split.permuted((0, 2, 1, *range(3, len(split.shape))))
