"""Resize and Upsample: nearest, linear and cubic."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from attrs import frozen
from convserve.errors import InvalidArgumentError
from convserve.layers import Upsample
from convserve.layers.resize import COORDINATES

from convserve_server.planning.importers.onnx.building import OpenShape, Value
from convserve_server.planning.importers.onnx.call import Call, check_open
from convserve_server.planning.importers.onnx.constants import BATCH
from convserve_server.planning.importers.onnx.moving import axis_of

WITH_SIZES = 11  # the version from which Resize has a region, scales and sizes
MAX_DENOMINATOR = 1024
MAX_SCALE = 1 << 20
_SYMMETRIC = "half_pixel_symmetric"  # half_pixel, where the new size is the factor times the old


@frozen
class _Way:
    """How elements are found between others."""

    mode: str
    coordinates: str
    rounding: str | None
    cubic_coefficient: float


def upsample(call: Call) -> None:
    """As Resize of opset 10."""
    x = call.value(0)
    scales = call.numbers("scales") or _scales_at(call, 1)
    _scale(call, x, _spatial(call, x, scales, range(x.rank)), _old_way(call))


def resize(call: Call) -> None:
    """By factors, or to sizes."""
    x = call.value(0)
    if call.opset < WITH_SIZES:
        scales = _scales_at(call, 1)
        _scale(call, x, _spatial(call, x, scales, range(x.rank)), _old_way(call))
        return
    way = _way(call)
    axes = [axis_of(axis, x.rank) for axis in call.integers("axes") or range(x.rank)]
    policy = call.text("keep_aspect_ratio_policy", "stretch")
    scales = _scales_at(call, 2)
    if scales:
        _scale(call, x, _spatial(call, x, scales, axes), way)
        return
    given = call.integers_at(3, "sizes")
    if not given:
        raise InvalidArgumentError("it has neither scales nor sizes")
    sizes = _sizes(call, x, given, axes)
    if policy == "stretch":
        _to_size(call, x, sizes, way)
    else:
        _scale(call, x, _common_scale(call, x, sizes, policy, axes), way)


def _scales_at(call: Call, position: int) -> tuple[float, ...]:
    constant = call.optional(position, "scales")
    if constant is None:
        return ()
    return tuple(float(scale) for scale in call.building.array(constant).reshape(-1))


def _old_way(call: Call) -> _Way:
    mode = call.text("mode", "nearest").removeprefix("bi")
    return _Way(_mode(mode), "asymmetric", "floor" if mode == "nearest" else None, -0.75)


def _mode(mode: str) -> str:
    if mode not in ("nearest", "linear", "cubic"):
        raise InvalidArgumentError(f"its mode is {mode!r}; use nearest, linear or cubic")
    return mode


def _way(call: Call) -> _Way:
    mode = _mode(call.text("mode", "nearest"))
    coordinates = call.text("coordinate_transformation_mode", "half_pixel")
    # What belongs to other modes is written all the same, by PyTorch for one.
    call.ignore("extrapolation_value", "nearest_mode", "cubic_coeff_a")
    if coordinates not in (*COORDINATES, _SYMMETRIC):
        call.refuse(
            f"its coordinate_transformation_mode {coordinates!r} is not one of "
            f"{', '.join(COORDINATES)}"
        )
    if call.flag("antialias") or call.flag("exclude_outside"):
        call.refuse("antialias and exclude_outside are not done")
    rounding = call.text("nearest_mode", "round_prefer_floor") if mode == "nearest" else None
    return _Way(mode, coordinates, rounding, call.number("cubic_coeff_a", -0.75))


def _spatial(
    call: Call, x: Value, scales: tuple[float, ...], axes: Sequence[int]
) -> tuple[Fraction, ...]:
    """The factor of each spatial axis; batch and channels must stay."""
    if len(scales) != len(axes):
        raise InvalidArgumentError(f"its scales {scales} are not one for each of {len(axes)} axes")
    if not all(0 < scale <= MAX_SCALE for scale in scales):
        raise InvalidArgumentError(f"its scales {scales} are not all above 0, up to {MAX_SCALE}")
    by_axis = {axis: _fraction(scale) for axis, scale in zip(axes, scales, strict=True)}
    if by_axis.get(0, 1) != 1 or by_axis.get(1, 1) != 1:
        call.refuse(f"its scales {scales} resize the batch or the channels")
    return tuple(by_axis.get(axis, Fraction(1)) for axis in range(2, x.rank))


def _fraction(scale: float) -> Fraction:
    """The plain fraction that 32 bits stand for, such as 4/3 for 1.3333334; or the number."""
    plain = Fraction(scale).limit_denominator(MAX_DENOMINATOR)
    return plain if np.float32(float(plain)) == np.float32(scale) else Fraction(scale)


def _sizes(call: Call, x: Value, given: tuple[int, ...], axes: Sequence[int]) -> tuple[int, ...]:
    """The size of each spatial axis."""
    if len(given) != len(axes):
        raise InvalidArgumentError(f"its sizes {given} are not one for each of {len(axes)} axes")
    by_axis = dict(zip(axes, given, strict=True))
    if by_axis.get(0, BATCH) not in (BATCH, call.building.batch):
        call.refuse(f"its sizes {given} resize the batch")
    if x.shape[0] is not None and by_axis.get(1, x.shape[0]) != x.shape[0]:
        call.refuse(f"its sizes {given} resize the {x.shape[0]} channels")
    wanted = [by_axis[axis] if axis in by_axis else x.sizes[axis - 1] for axis in range(2, x.rank)]
    return check_open(wanted, "sizes")


def _common_scale(
    call: Call, x: Value, sizes: tuple[int, ...], policy: str, axes: Sequence[int]
) -> tuple[Fraction, ...]:
    """One factor for the named axes, by which none or every one of them exceeds its size."""
    choose = {"not_larger": min, "not_smaller": max}.get(policy)
    if choose is None:
        raise InvalidArgumentError(f"its keep_aspect_ratio_policy is {policy!r}")
    factors = [Fraction(size, old) for size, old in zip(sizes, x.sizes[1:], strict=True)]
    common = choose(f for axis, f in enumerate(factors, 2) if axis in axes)
    return tuple(common if axis in axes else Fraction(1) for axis in range(2, x.rank))


def _scale(call: Call, x: Value, factors: tuple[Fraction, ...], way: _Way) -> None:
    """By factors: whole ones for any input, others where they give whole sizes."""
    if all(factor.denominator == 1 for factor in factors):
        scale = tuple(int(factor) for factor in factors)
        grown = (n and s and n * s for n, s in zip(x.shape[1:], scale, strict=True))
        _put(call, x, Upsample(scale, **_options(way, is_whole=True)), (x.shape[0], *grown))
        return
    sizes = [factor * old for factor, old in zip(factors, x.sizes[1:], strict=True)]
    if any(size.denominator != 1 for size in sizes):
        call.refuse(
            f"its factors {', '.join(map(str, map(float, factors)))} do not give whole sizes of "
            f"{x.sizes[1:]}, so that elements would not lie where sizes put them; resize to sizes"
        )
    _to_size(call, x, tuple(map(int, sizes)), way)


def _to_size(call: Call, x: Value, sizes: tuple[int, ...], way: _Way) -> None:
    layer = Upsample(size=sizes, **_options(way, is_whole=False))
    _put(call, x, layer, (x.shape[0], *sizes))


def _put(call: Call, x: Value, layer: Upsample, shape: OpenShape) -> None:
    call.put(call.add(layer, x, shape=shape))


def _options(way: _Way, *, is_whole: bool) -> dict[str, Any]:
    """The fields of the layer, in the plainest of the ways to say the same.

    Nearest by whole factors is the same for half pixels rounded and for asymmetric rounded down.
    """
    coordinates = "half_pixel" if way.coordinates == _SYMMETRIC else way.coordinates
    if way.mode == "nearest":
        rounding = way.rounding or "floor"
        rounds = coordinates == "half_pixel" and rounding.startswith("round")
        if is_whole and (rounds or (coordinates, rounding) == ("asymmetric", "floor")):
            return {}
        return {"coordinates": coordinates, "rounding": rounding}
    options: dict[str, Any] = {"mode": way.mode, "coordinates": coordinates}
    return options | ({"cubic_coefficient": way.cubic_coefficient} if way.mode == "cubic" else {})


OPERATORS = {"Resize": resize, "Upsample": upsample}
