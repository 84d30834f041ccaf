"""Resizing: repeated elements as a copy, all else by one kernel with exact places."""

from __future__ import annotations

import math
from fractions import Fraction

from attrs import frozen
from convserve import layers
from convserve.layers import Layer, Upsample
from convserve.tensors import dtype_of

from convserve_server.engines.cuda.lowering.builder import Builder, Emitter
from convserve_server.engines.cuda.lowering.rows import beside
from convserve_server.engines.cuda.lowering.windows import RANK, lifted
from convserve_server.engines.cuda.views import View
from convserve_server.planning.layers.resize import TAPS, is_repeating, source_place
from convserve_server.planning.program import Step

_SHIFTS = {"round_prefer_floor": Fraction(-1, 2), "round_prefer_ceil": Fraction(1, 2)}
_ROUND_UP = ("ceil", "round_prefer_floor")


@frozen
class _Axis:
    """Element i of the result lies at (i * step + start) / parts; `taps` elements weigh in."""

    step: int = 0
    start: int = 0
    parts: int = 1
    taps: int = 1


def _upsample(builder: Builder, step: Step) -> None:
    layer = step.layer
    assert isinstance(layer, Upsample)
    (x,) = builder.inputs_of(step)
    y = builder.result(step.output)
    if is_repeating(layer):
        assert layer.scale is not None
        _repeat(builder, x, y, layer.scale)
        builder.record(step, "copy")
        return
    sizes = zip(x.shape[2:], y.shape[2:], strict=True)
    axes = [_axis(layer, old, new) for old, new in sizes]
    axes = [_Axis()] * (RANK - len(axes)) + axes
    places = [getattr(axis, name) for name in ("step", "start", "parts") for axis in axes]
    views, count = (lifted(y), lifted(beside(builder, x))), y.element_count
    if layer.mode == "nearest":
        up = int(layer.rounding in _ROUND_UP)
        builder.launch("Nearest", (_moved(y.dtype),), *views, *places, up, count=count)
    else:
        taps = [axis.taps for axis in axes]
        cubic = layer.cubic_coefficient
        builder.launch("Resize", (y.dtype,), *views, *places, *taps, cubic, count=count)
    builder.record(step, f"resize_{layer.mode}")


def _repeat(builder: Builder, x: View, y: View, scale: tuple[int, ...]) -> None:
    """Every element `scale` times along each axis."""
    for axis in reversed(range(2, len(x.shape))):
        factor = scale[axis - 2]
        y = y.split(axis, (x.shape[axis], factor))
        x = x.inserted(axis + 1, factor)
    builder.copy(y, x)


def _axis(layer: Upsample, old: int, new: int) -> _Axis:
    """The places along an axis, from the first two: they are evenly spaced."""
    coordinates, taps = str(layer.coordinates), TAPS[layer.mode]
    shift = _SHIFTS.get(str(layer.rounding), Fraction(0)) if taps == 1 else Fraction(0)
    first = source_place(coordinates, 0, old, new) + shift
    step = source_place(coordinates, 1, old, new) + shift - first if new > 1 else Fraction(0)
    parts = math.lcm(first.denominator, step.denominator)  # whose multiples 64 bits hold
    return _Axis(int(step * parts), int(first * parts), parts, taps)


def _moved(dtype: str) -> str:
    """A type of the same size, where elements are only moved."""
    return {1: "uint8", 2: "uint16", 4: "uint32", 8: "uint64", 16: "complex128"}[
        dtype_of(dtype).itemsize
    ]


TABLE: dict[type[Layer], Emitter] = {layers.Upsample: _upsample}
