"""A batch normalisation as a scale and a bias, or as a part of the convolution before it.

    (conv(x) + bias - mean) * scale + shift = conv'(x) + (bias - mean) * scale + shift

with scale = weight / sqrt(variance + eps) per channel, and conv' of the weights times it.
"""

from __future__ import annotations

from attrs import evolve, frozen
from convserve.layers import BatchNorm, Conv, ConvTranspose

from convserve_server.engines.cuda.lowering.builder import Builder
from convserve_server.engines.cuda.lowering.rows import sum_type
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
        weight, bias = views[0], views[1] if len(views) > 1 else None
        if norm is None:
            return Folded(weight, bias)
        scale, bias = read_norm(builder, norm, dtype, bias)
        return Folded(_scaled(builder, head, weight, scale), bias)


def read_norm(builder: Builder, norm: Step, dtype: str, bias: View | None) -> tuple[View, View]:
    """A batch normalisation as a scale and a bias per channel; that of a convolution is taken in.

    The scale is of the type of sums; both biases are of `dtype`. All is preparation.
    """
    assert isinstance(norm.layer, BatchNorm)
    sums, shape = sum_type(dtype), (norm.output.shape[1],)
    with builder.preparation():
        views = builder.weights_of(norm)
        vectors = {role: builder.contiguous(view, sums) for role, view in views.items()}
        factor = vectors.get("weight") or builder.constant(sums, 1.0, shape)
        shift = vectors.get("bias") or builder.constant(sums, 0.0, shape)
        given = bias or builder.constant(dtype, 0.0, shape)
        scale, made = builder.new(sums, shape), builder.new(dtype, shape)
        variance, mean, eps = vectors["running_var"], vectors["running_mean"], norm.layer.eps
        builder.launch("FoldScale", (sums,), scale, factor, variance, eps, count=shape[0])
        builder.launch("FoldBias", (dtype,), made, given, mean, scale, shift, count=shape[0])
    return scale, made


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


def _by_channel(head: Step, weight: View) -> View:
    """The weights as (groups, channels of the result in each, ...)."""
    if not isinstance(head.layer, ConvTranspose):
        groups = head.layer.groups if isinstance(head.layer, Conv) else 1
        return weight.split(0, (groups, weight.shape[0] // groups))
    split = weight.split(0, (head.layer.groups, weight.shape[0] // head.layer.groups))
    return split.permuted((0, 2, 1, *range(3, len(split.shape))))
