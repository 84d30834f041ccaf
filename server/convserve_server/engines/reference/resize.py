"""Resizing: one axis after the other, each element a sum of a few of the input's.

Places are exact fractions. Definitions: ONNX Resize, and for cubic R. G. Keys, Cubic convolution
interpolation for digital image processing (1981).
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from convserve.layers import Upsample
from convserve.tensors import Array, TensorSpec

from convserve_server.engines.reference.accumulation import widen
from convserve_server.planning.layers.resize import source_place


def upsample(layer: Upsample, output: TensorSpec, x: Array) -> Array:
    """`x` (N, C, *L) at the places of the result's elements."""
    y = x if layer.mode == "nearest" else widen(x, output)
    for axis in range(2, x.ndim):
        y = _resized(layer, y, axis, output.shape[axis])
    return y


def nearest_indices(layer: Upsample, old: int, new: int) -> list[int]:
    """The element of an axis of `old` ones that each of `new` ones repeats."""
    places = (source_place(str(layer.coordinates), x, old, new) for x in range(new))
    return [min(max(_rounded(place, str(layer.rounding)), 0), old - 1) for place in places]


def _resized(layer: Upsample, x: Array, axis: int, new: int) -> Array:
    old = x.shape[axis]
    if layer.mode == "nearest":
        return x.take(nearest_indices(layer, old, new), axis)
    places = [source_place(str(layer.coordinates), each, old, new) for each in range(new)]
    firsts = [math.floor(place) for place in places]
    along = (-1, *[1] * (x.ndim - 1 - axis))
    total = np.zeros((*x.shape[:axis], new, *x.shape[axis + 1 :]))
    for tap in (0, 1) if layer.mode == "linear" else (-1, 0, 1, 2):
        indices = np.clip([first + tap for first in firsts], 0, old - 1)
        distances = [
            float(abs(place - first - tap)) for place, first in zip(places, firsts, strict=True)
        ]
        weights = np.array([_weight(layer, distance) for distance in distances])
        total += x.take(indices, axis) * weights.reshape(along)
    return total


def _weight(layer: Upsample, distance: float) -> float:
    """How much an element counts at a distance from the place."""
    if layer.mode == "linear":
        return 1 - distance
    a = layer.cubic_coefficient
    if distance <= 1:
        return ((a + 2) * distance - (a + 3)) * distance * distance + 1
    return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a


def _rounded(place: Fraction, rounding: str) -> int:
    match rounding:
        case "floor":
            return math.floor(place)
        case "ceil":
            return math.ceil(place)
        case "round_prefer_floor":
            return math.ceil(place - Fraction(1, 2))
    return math.floor(place + Fraction(1, 2))
