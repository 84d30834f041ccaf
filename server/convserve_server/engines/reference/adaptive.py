"""Pooling into so many parts: one pass over the parts."""

from __future__ import annotations

from itertools import product

import numpy as np
from convserve.layers import AdaptiveAvgPool, AdaptiveMaxPool, PyramidPool
from convserve.layers.fields import Ints
from convserve.tensors import Array, Shape, TensorSpec

from convserve_server.engines.reference.accumulation import widen
from convserve_server.engines.reference.windows import Index


def adaptive_avg_pool(layer: AdaptiveAvgPool, output: TensorSpec, x: Array) -> Array:
    """The mean of each part."""
    wide, y = widen(x, output), np.empty(output.shape)
    for place, part in _parts(x.shape[2:], layer.output_size):
        y[place] = wide[part].mean(axis=tuple(range(2, x.ndim)))
    return y


def adaptive_max_pool(layer: AdaptiveMaxPool, output: TensorSpec, x: Array) -> Array:
    """The largest of each part; a NaN wins."""
    y = np.empty(output.shape, x.dtype)
    for place, part in _parts(x.shape[2:], layer.output_size):
        y[place] = x[part].max(axis=tuple(range(2, x.ndim)))
    return y


def pyramid_pool(layer: PyramidPool, output: TensorSpec, x: Array) -> Array:
    """The levels one after the other, each in C order of (channels, parts)."""
    flat = []
    for level in layer.levels:
        sizes = (level,) * (x.ndim - 2)
        spec = TensorSpec(output.name, output.dtype, (*x.shape[:2], *sizes))
        if layer.mode == "max":
            pooled = adaptive_max_pool(AdaptiveMaxPool(sizes), spec, x)
        else:
            pooled = adaptive_avg_pool(AdaptiveAvgPool(sizes), spec, x)
        flat.append(pooled.reshape(x.shape[0], x.shape[1] * level ** len(sizes)))
    return np.concatenate(flat, axis=1)


def part_bounds(length: int, parts: int) -> list[tuple[int, int]]:
    """Part i of an axis as [start, stop): floor(i * L / n) to ceil((i + 1) * L / n)."""
    return [(i * length // parts, -(-(i + 1) * length // parts)) for i in range(parts)]


def _parts(lengths: Shape, counts: Ints) -> list[tuple[Index, Index]]:
    """Each part's place in the result, and its elements."""
    bounds = [part_bounds(*pair) for pair in zip(lengths, counts, strict=True)]
    return [
        (
            (..., *(at for at, _ in combined)),
            (..., *(slice(start, stop) for _, (start, stop) in combined)),
        )
        for combined in product(*(list(enumerate(axis)) for axis in bounds))
    ]
