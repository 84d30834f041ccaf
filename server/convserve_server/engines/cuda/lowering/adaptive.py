"""Pooling into so many parts."""

from __future__ import annotations

import math

from convserve import layers

from convserve_server.engines.cuda.lowering.builder import Builder
from convserve_server.engines.cuda.lowering.pool import (
    largest_of_positions,
    mean_of_positions,
)
from convserve_server.engines.cuda.lowering.rows import beside, sum_type
from convserve_server.engines.cuda.lowering.windows import lifted
from convserve_server.engines.cuda.views import View
from convserve_server.planning.program import Step

_LONG_PART = 4096  # elements that one index reads; above it, axis by axis


def _adaptive_avg_pool(builder: Builder, step: Step) -> None:
    _avg(builder, builder.result(step.output), *builder.inputs_of(step))
    builder.record(step, "parts")


def _adaptive_max_pool(builder: Builder, step: Step) -> None:
    _max(builder, builder.result(step.output), *builder.inputs_of(step))
    builder.record(step, "parts")


def _pyramid_pool(builder: Builder, step: Step) -> None:
    """Each level into its columns of the result."""
    layer = step.layer
    assert isinstance(layer, layers.PyramidPool)
    fill = _max if layer.mode == "max" else _avg
    (source,) = builder.inputs_of(step)
    result, start = builder.result(step.output), 0
    channels, rank = source.shape[1], len(source.shape) - 2
    for level in layer.levels:
        count = channels * level**rank
        part = result.sliced(1, start, count).split(1, (channels, *[level] * rank))
        fill(builder, part, source)
        start += count
    builder.record(step, "parts")


def _avg(builder: Builder, target: View, source: View) -> None:
    """A box's mean is the mean along one axis of the means along another."""
    if math.prod(target.shape[2:]) == 1:
        mean_of_positions(builder, target, source)
    else:
        _by_axes(builder, "AdaptiveAvgPool", target, source, sum_type(source.dtype))


def _max(builder: Builder, target: View, source: View) -> None:
    if math.prod(target.shape[2:]) == 1:
        largest_of_positions(builder, target, source)
    else:
        _by_axes(builder, "AdaptiveMaxPool", target, source, source.dtype)


def _by_axes(builder: Builder, name: str, target: View, source: View, between: str) -> None:
    """All axes at once; or one after the other where parts are long, through a type `between`."""
    target, source = lifted(target), lifted(beside(builder, source))
    if _longest_part(target, source) > _LONG_PART:
        *before, _ = (axis for axis in (4, 3, 2) if target.shape[axis] != source.shape[axis])
        for axis in before:
            sizes = (*source.shape[:axis], target.shape[axis], *source.shape[axis + 1 :])
            made = builder.new(between, sizes)
            _launch(builder, name, made, source)
            source = made
    _launch(builder, name, target, source)


def _launch(builder: Builder, name: str, target: View, source: View) -> None:
    types = (target.dtype,) if name == "AdaptiveMaxPool" else (target.dtype, source.dtype)
    builder.launch(name, types, target, source, count=target.element_count)


def _longest_part(target: View, source: View) -> int:
    """No fewer elements than any part has."""
    pairs = zip(target.shape[2:], source.shape[2:], strict=True)
    return math.prod(1 if parts == size else size // parts + 2 for parts, size in pairs)


TABLE = {
    layers.AdaptiveAvgPool: _adaptive_avg_pool,
    layers.AdaptiveMaxPool: _adaptive_max_pool,
    layers.PyramidPool: _pyramid_pool,
}
