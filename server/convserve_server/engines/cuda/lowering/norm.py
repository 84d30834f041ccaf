"""Normalisation by the input's own statistics: first these, then each element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from attrs import evolve
from convserve import layers
from convserve.tensors import Shape, TensorSpec

from convserve_server.engines.cuda.lowering.builder import Builder
from convserve_server.engines.cuda.lowering.packs import may_pack, pack_size
from convserve_server.engines.cuda.lowering.rows import as_rows, beside, passes, rows, sum_type
from convserve_server.engines.cuda.views import View, contiguous
from convserve_server.planning.program import Step

_Axes: TypeAlias = tuple[Sequence[int], Sequence[int], Sequence[int]]

_NUMBERS = 3  # of each part: see `Statistics` in norm.cuh
_JOINED = "JoinedMoments", "float64"


def _layer_norm(builder: Builder, step: Step) -> None:
    """Over all of a sample, or over the last of the positions of each channel."""
    assert isinstance(step.layer, layers.LayerNorm)
    shape = step.output.shape
    kept = len(shape) - step.layer.axes
    weights = list(builder.weights_of(step).values())
    members = shape[1] if kept == 1 else 1
    _normalise(builder, step, weights, step.layer.eps, kept=max(2, kept), members=members)


def _group_norm(builder: Builder, step: Step) -> None:
    assert isinstance(step.layer, layers.GroupNorm)
    members = step.output.shape[1] // step.layer.groups
    _normalise(builder, step, _per_channel(builder, step), step.layer.eps, members=members)


def _instance_norm(builder: Builder, step: Step) -> None:
    assert isinstance(step.layer, layers.InstanceNorm)
    _normalise(builder, step, _per_channel(builder, step), step.layer.eps)


def _normalise(
    builder: Builder,
    step: Step,
    weights: Sequence[View],
    eps: float,
    *,
    kept: int = 2,
    members: int = 1,
) -> None:
    """Over the axes from `kept` on, of so many neighbouring channels together.

    `weights`, none or two, broadcast to the step's output.
    """
    dtype, rank = step.output.dtype, len(step.output.shape)
    axes: _Axes = (0, *range(2, kept)), range(kept, rank), (1,)
    (x,) = builder.inputs_of(step)
    source = rows(builder, beside(builder, builder.cast(x, dtype)), *axes)
    target = rows(builder, builder.result(step.output), *axes)
    moments = _statistics(builder, source, members, eps)
    factors = [_factor(builder, view, step.output, axes) for view in weights]
    name = "NormaliseAffine" if factors else "Normalise"
    tensors, count = (target, source, moments), target.element_count
    if may_pack(target, 2) and may_pack(source, 2):
        name, count = f"Packed{name}", count // pack_size(dtype)
    builder.launch(name, (dtype,), *tensors, members, *factors, count=count)
    builder.record(step, "moments")


def _statistics(builder: Builder, source: View, members: int, eps: float) -> View:
    """The mean and the factor of each group of rows (outer, terms, inner): (outer, 1, groups, 3).

    A group is of so many neighbours along the inner axis. If it is all of them, and they lie behind
    one another, they are more terms; else each is reduced alone, and then their results.
    """
    outer, _, inner = source.shape
    flat = as_rows(source, (0,), (1, 2), ()) if members == inner else None
    if flat is not None:
        return _moments(builder, flat, eps)
    if members == 1:
        return _moments(builder, source, eps)
    each = _moments(builder, source, 0.0)
    groups = inner // members
    joined = _moments(builder, _laid_out(each, (outer * groups, members, 1, _NUMBERS)), eps)
    return _laid_out(joined, (outer, 1, groups, _NUMBERS))


def _moments(builder: Builder, source: View, eps: float) -> View:
    """The statistics of rows of elements (outer, terms, inner), or of statistics (..., 3).

    Of shape (outer, 1, inner, 3). With an `eps` they are final.
    """
    name, dtype = ("Moments", source.dtype) if len(source.shape) == 3 else _JOINED
    for shape in passes(source):
        made = builder.new("float64", (*shape, _NUMBERS), last=False)
        is_last = shape[1] == 1
        count = math.prod(shape)
        builder.launch(name, (dtype,), made, source, eps if is_last else 0.0, count=count)
        source = made
        name, dtype = _JOINED
    return source


def _factor(builder: Builder, weight: View, output: TensorSpec, axes: _Axes) -> View:
    """A weight that broadcasts to the output, of its shape and in the type of its sums, as rows."""
    with builder.preparation():
        weight = builder.contiguous(weight, sum_type(output.dtype))
    return rows(builder, weight.expanded(output.shape), *axes)


def _per_channel(builder: Builder, step: Step) -> list[View]:
    """The weights (C) as (C, 1, ...)."""
    rest = (1,) * (len(step.output.shape) - 2)
    return [view.split(0, (*view.shape, *rest)) for view in builder.weights_of(step).values()]


def _laid_out(view: View, shape: Shape) -> View:
    """Another shape of a buffer of its own."""
    return evolve(view, shape=shape, strides=contiguous(shape))


def _local_response_norm(builder: Builder, step: Step) -> None:
    """Rows of channels."""
    layer = step.layer
    assert isinstance(layer, layers.LocalResponseNorm)
    axes: _Axes = (0, *range(2, len(step.output.shape))), (1,), ()
    (x,) = builder.inputs_of(step)
    source = rows(builder, beside(builder, x), *axes)
    target = rows(builder, builder.result(step.output), *axes)
    numbers = (*layer.window, layer.alpha / layer.size, layer.k, layer.beta)
    count = target.element_count
    builder.launch("LocalResponseNorm", (target.dtype,), target, source, *numbers, count=count)
    builder.record(step, "channel_windows")


TABLE = {
    layers.LayerNorm: _layer_norm,
    layers.GroupNorm: _group_norm,
    layers.InstanceNorm: _instance_norm,
    layers.LocalResponseNorm: _local_response_norm,
}
