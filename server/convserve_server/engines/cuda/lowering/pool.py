"""Pooling over windows, and over all positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from attrs import evolve
from convserve import layers
from convserve.layers.fields import Ints
from convserve.layers.pool import WindowPool
from convserve.tensors import dtype_of

from convserve_server.engines.cuda.lowering.builder import Builder
from convserve_server.engines.cuda.lowering.packs import may_pack, packs
from convserve_server.engines.cuda.lowering.rows import beside, largest_of_rows, rows, sum_rows
from convserve_server.engines.cuda.lowering.windows import RANK, Windows, lifted, pairs
from convserve_server.engines.cuda.views import View
from convserve_server.planning.program import Step

Pool: TypeAlias = WindowPool | layers.AvgPool

_PACKED = ("MaxPool", "AvgPool")  # kernels that there are for packs of channels too
_DISTANCES = 1 << 32  # from the first tap to where its window may end, that kernels count with


def pool_on_host(builder: Builder, step: Step) -> bool:
    """Leave a pool over a padded axis that 32 bits do not count to the host; whether it is one."""
    assert isinstance(step.layer, Pool)
    sizes = zip(step.inputs[0].shape[2:], pairs(step.layer.padding), strict=True)
    is_long = any(low + size + high > _DISTANCES for size, (low, high) in sizes)
    if is_long:
        builder.on_host(step)
    return is_long


def window_arguments(layer: Pool) -> tuple[int, ...]:
    """The members of `PoolWindows` in pool.cuh."""
    assert layer.stride is not None
    return Windows(layer.stride, pairs(layer.padding), layer.dilation).arguments


def with_taps(layer: Pool, x: View) -> View:
    """(N, C, L0, L1, L2) with three more axes: the taps of a window."""
    steps = zip(x.strides[2:], _lifted(layer.dilation, 1), strict=True)
    return evolve(
        x,
        shape=(*x.shape, *_lifted(layer.kernel_size, 1)),
        strides=(*x.strides, *(stride * dilation for stride, dilation in steps)),
    )


def mean_of_positions(builder: Builder, target: View, source: View) -> None:
    """Fill (N, C, 1, ...) with the means of (N, C, *L)."""
    sum_rows(builder, *_positions(builder, target, source), float(math.prod(source.shape[2:])))


def largest_of_positions(builder: Builder, target: View, source: View) -> None:
    """Fill (N, C, 1, ...) with the largest of (N, C, *L)."""
    largest_of_rows(builder, *_positions(builder, target, source))


def _max_pool(builder: Builder, step: Step) -> None:
    dtype = dtype_of(step.output.dtype)
    lowest = np.iinfo(dtype).min if dtype.kind in "iu" else -math.inf
    _pool(builder, step, "MaxPool", float(lowest))


def _avg_pool(builder: Builder, step: Step) -> None:
    assert isinstance(step.layer, layers.AvgPool)
    margins = pairs(step.layer.padding) if step.layer.count_include_pad else ()
    low, high = ([pair[side] for pair in margins] for side in (0, 1))
    _pool(builder, step, "AvgPool", *_lifted(low, 0), *_lifted(high, 0))


def _lp_pool(builder: Builder, step: Step) -> None:
    assert isinstance(step.layer, layers.LpPool)
    _pool(builder, step, "LpPool", step.layer.p)


def _pool(builder: Builder, step: Step, name: str, *arguments: float) -> None:
    assert isinstance(step.layer, Pool)
    if pool_on_host(builder, step):
        return
    source = lifted(beside(builder, *builder.inputs_of(step)))
    target = lifted(builder.result(step.output))
    algorithm = "windows"
    if name in _PACKED and may_pack(target, 1) and may_pack(source, 1):
        name, algorithm = f"Packed{name}", "packed_windows"
        target, source = packs(target, 1), packs(source, 1)
    tensors, windows = (target, with_taps(step.layer, source)), window_arguments(step.layer)
    count = target.element_count
    builder.launch(name, (target.dtype,), *tensors, *windows, *arguments, count=count)
    builder.record(step, algorithm)


def _global_avg_pool(builder: Builder, step: Step) -> None:
    mean_of_positions(builder, builder.result(step.output), *builder.inputs_of(step))
    builder.record(step, "row_sums")


def _global_max_pool(builder: Builder, step: Step) -> None:
    largest_of_positions(builder, builder.result(step.output), *builder.inputs_of(step))
    builder.record(step, "row_maxima")


def _global_lp_pool(builder: Builder, step: Step) -> None:
    assert isinstance(step.layer, layers.GlobalLpPool)
    both = _positions(builder, builder.result(step.output), *builder.inputs_of(step))
    sum_rows(builder, *both, 1.0, power=step.layer.p)
    builder.record(step, "row_sums")


def _positions(builder: Builder, target: View, source: View) -> tuple[View, View]:
    """(N, C, 1, ...) and (N, C, *L) as rows (N, positions, C)."""
    axes = (0,), range(2, len(source.shape)), (1,)
    return rows(builder, target, *axes), rows(builder, beside(builder, source), *axes)


def _lifted(values: Sequence[int], other: int) -> Ints:
    """A number for each of three axes: `other` for those that are not there."""
    return (*[other] * (RANK - len(values)), *values)


TABLE = {
    layers.MaxPool: _max_pool,
    layers.AvgPool: _avg_pool,
    layers.LpPool: _lp_pool,
    layers.GlobalAvgPool: _global_avg_pool,
    layers.GlobalMaxPool: _global_max_pool,
    layers.GlobalLpPool: _global_lp_pool,
}
