"""What pools into so many parts, and resizing, are in ONNX. See `nodes`."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from convserve import layers
from convserve.layers import Layer
from convserve.layers.fields import Ints

from convserve_server.engines.cpu.nodes import Emit, reshaped
from convserve_server.engines.cpu.pool_nodes import pool_safely
from convserve_server.engines.cpu.writer import Writer
from convserve_server.engines.reference.adaptive import part_bounds
from convserve_server.engines.reference.resize import nearest_indices
from convserve_server.planning.layers.resize import is_repeating
from convserve_server.planning.program import Step


def _adaptive_avg_pool(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.AdaptiveAvgPool)
    return _mean_parts(writer, x[0], step.inputs[0].shape[2:], step.layer.output_size)


def _adaptive_max_pool(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    assert isinstance(step.layer, layers.AdaptiveMaxPool)
    return _max_parts(writer, x[0], step.inputs[0].shape[2:], step.layer.output_size)


def _pyramid_pool(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    layer, (channels, *sizes) = step.layer, step.inputs[0].shape[1:]
    assert isinstance(layer, layers.PyramidPool)
    pool = _max_parts if layer.mode == "max" else _mean_parts
    levels = []
    for parts in layer.levels:
        pooled = pool(writer, x[0], tuple(sizes), (parts,) * len(sizes))
        levels.append(reshaped(writer, pooled, (channels * parts ** len(sizes),)))
    return writer.add("Concat", *levels, axis=1)


def _mean_parts(writer: Writer, x: str, sizes: Ints, parts: Ints) -> str:
    if _divides(sizes, parts):
        return writer.add("AveragePool", x, **_equal_windows(sizes, parts))
    for axis, (size, count) in enumerate(zip(sizes, parts, strict=True), start=2):
        x = _reduced(writer, x, axis, (size, count), len(sizes), "ReduceSum")
    return x


def _max_parts(writer: Writer, x: str, sizes: Ints, parts: Ints) -> str:
    def pool(source: str) -> str:
        if _divides(sizes, parts):
            return writer.add("MaxPool", source, **_equal_windows(sizes, parts))
        for axis, pair in enumerate(zip(sizes, parts, strict=True), start=2):
            source = _reduced(writer, source, axis, pair, len(sizes), "ReduceMax")
        return source

    return pool_safely(writer, x, pool)


def _divides(sizes: Ints, parts: Ints) -> bool:
    return all(size % count == 0 for size, count in zip(sizes, parts, strict=True))


def _equal_windows(sizes: Ints, parts: Ints) -> dict[str, Any]:
    windows = [size // count for size, count in zip(sizes, parts, strict=True)]
    return {"kernel_shape": windows, "strides": windows}


def _reduced(
    writer: Writer,
    x: str,
    axis: int,
    size_and_parts: tuple[int, int],
    rank: int,
    op: Literal["ReduceSum", "ReduceMax"],
) -> str:
    """The parts of one axis: their elements on an axis of their own, and that axis reduced.

    Shorter parts repeat their last element, which changes no maximum and is left out of a sum.
    """
    bounds = part_bounds(*size_and_parts)
    longest = max(stop - start for start, stop in bounds)
    indices = np.array(
        [[min(start + i, stop - 1) for i in range(longest)] for start, stop in bounds]
    )
    gathered = writer.add("Gather", x, writer.constant(indices), axis=axis)
    axes = writer.integers([axis + 1])
    if op == "ReduceMax":
        return writer.add(op, gathered, axes, keepdims=0)
    lengths = np.array([stop - start for start, stop in bounds])
    behind = [1] * (rank + 1 - axis)
    counted = writer.constant(
        (np.arange(longest) < lengths[:, None]).reshape(*indices.shape, *behind)
    )
    held = writer.add("Where", counted, gathered, writer.scalar(0))
    divisor = writer.constant(lengths.astype(np.float32).reshape(-1, *behind))
    return writer.add("Div", writer.add(op, held, axes, keepdims=0), divisor)


def _upsample(writer: Writer, step: Step, x: list[str], _: list[str]) -> str:
    layer, old, new = step.layer, step.inputs[0].shape[2:], step.output.shape[2:]
    assert isinstance(layer, layers.Upsample)
    if layer.scale is not None and is_repeating(layer):
        return _repeated(writer, x[0], layer.scale)
    if layer.mode == "nearest":
        return _picked(writer, layer, x[0], old, new)
    if len(new) > 1:
        return _interpolated(writer, layer, x[0], new)
    plane = reshaped(writer, x[0], (step.inputs[0].shape[1], 1, *old))  # it takes no single axis
    resized = _interpolated(writer, layer, plane, (1, *new))
    return reshaped(writer, resized, step.output.shape[1:])


def _repeated(writer: Writer, x: str, scale: Ints) -> str:
    return writer.add(
        "Resize",
        x,
        "",
        writer.constant(np.array((1, 1, *scale), np.float32)),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _picked(writer: Writer, layer: layers.Upsample, x: str, old: Ints, new: Ints) -> str:
    """By indices: Resize computes them in float32, which takes some places for their neighbours."""
    for axis, (size, wanted) in enumerate(zip(old, new, strict=True), start=2):
        indices = writer.integers(nearest_indices(layer, size, wanted))
        x = writer.add("Gather", x, indices, axis=axis)
    return x


def _interpolated(writer: Writer, layer: layers.Upsample, x: str, sizes: Ints) -> str:
    return writer.add(
        "Resize",
        x,
        "",
        "",
        writer.integers(sizes),
        axes=range(2, 2 + len(sizes)),
        mode=layer.mode,
        coordinate_transformation_mode=layer.coordinates,
        cubic_coeff_a=layer.cubic_coefficient,
    )


EMITTERS: dict[type[Layer], Emit] = {
    layers.AdaptiveAvgPool: _adaptive_avg_pool,
    layers.AdaptiveMaxPool: _adaptive_max_pool,
    layers.PyramidPool: _pyramid_pool,
    layers.Upsample: _upsample,
}
