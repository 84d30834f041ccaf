"""Where maxima are, and values put back there."""

from __future__ import annotations

import math

from convserve import layers
from convserve.tensors import Shape

from convserve_server.engines.cuda.checks import INDEX_RANGE
from convserve_server.engines.cuda.lowering.builder import Builder
from convserve_server.engines.cuda.lowering.integer_checks import extremes
from convserve_server.engines.cuda.lowering.pool import pool_on_host, window_arguments, with_taps
from convserve_server.engines.cuda.lowering.rows import beside
from convserve_server.engines.cuda.lowering.windows import RANK, lifted
from convserve_server.engines.cuda.recipe import Check
from convserve_server.engines.cuda.views import View, contiguous
from convserve_server.planning.program import Step


def _max_pool_indices(builder: Builder, step: Step) -> None:
    layer = step.layer
    assert isinstance(layer, layers.MaxPoolIndices)
    if pool_on_host(builder, step):
        return
    (x,) = builder.inputs_of(step)
    source = with_taps(layer, lifted(beside(builder, x)))
    target = lifted(builder.result(step.output))
    arguments = (*window_arguments(layer), *_numbering(layer, x.shape))
    count = target.element_count
    builder.launch("MaxPoolIndices", (x.dtype,), target, source, *arguments, count=count)
    builder.record(step, "windows")


def _numbering(layer: layers.MaxPoolIndices, shape: Shape) -> tuple[int, ...]:
    """How far the numbers of neighbours are apart: of channels, and along three axes."""
    sizes = shape[2:]
    axes = contiguous(sizes[::-1])[::-1] if layer.column_major else contiguous(sizes)
    channel = math.prod(sizes) if layer.scope == "sample" else 0
    return (channel, *[0] * (RANK - len(axes)), *axes)


def _max_unpool(builder: Builder, step: Step) -> None:
    layer = step.layer
    assert isinstance(layer, layers.MaxUnpool)
    in_sample = layer.scope == "sample"
    x, indices = builder.inputs_of(step)
    size = math.prod(step.output.shape[1 if in_sample else 2 :])
    _check_indices(builder, indices, size, step.output.name)
    claims, source = builder.new("int64", step.output.shape), lifted(x)
    builder.fill(claims, -1)
    places, named = lifted(claims), lifted(indices)
    types, count = (indices.dtype,), indices.element_count
    builder.launch("ClaimPlaces", types, places, named, int(in_sample), count=count)
    target = lifted(builder.result(step.output))
    builder.launch("Unpool", (x.dtype,), target, places, source, count=target.element_count)
    builder.record(step, "claims")


def _check_indices(builder: Builder, indices: View, size: int, name: str) -> None:
    if not indices.element_count:
        return
    found = extremes(builder, indices)
    builder.checks.append(Check(INDEX_RANGE, (found,), found.dtype, name, limit=size))


TABLE = {
    layers.MaxPoolIndices: _max_pool_indices,
    layers.MaxUnpool: _max_unpool,
}
