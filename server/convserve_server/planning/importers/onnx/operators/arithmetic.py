"""Sums and products of tensors, with tensors or with constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import evolve
from convserve.errors import InvalidArgumentError
from convserve.layers import (
    Add,
    Conv,
    ConvTranspose,
    Dense,
    Div,
    Layer,
    Mul,
    Power,
    Rescale,
    Scale,
    Sub,
)
from convserve.tensors import Array

from convserve_server.planning.importers.onnx.building import OpenShape, Value
from convserve_server.planning.importers.onnx.call import Call
from convserve_server.planning.importers.onnx.constants import Constant, filled
from convserve_server.planning.importers.onnx.operators.channels import along_one


def add(call: Call) -> None:
    """A constant becomes a bias, of the layer before where that has none."""
    x, constant, _ = _operands(call)
    if constant is None:
        _join(call, Add())
    elif not _absorbed(call, x, constant):
        _shift(call, x, *along_one(call, constant, x))


def sub(call: Call) -> None:
    """A constant less is a bias, less a constant a factor of -1 and a bias."""
    x, constant, reversed_ = _operands(call)
    if constant is None:
        _join(call, Sub())
        return
    values, axis = along_one(call, constant, x)
    if reversed_:
        _scale(call, x, np.full_like(values, -1), axis, values)
    else:
        _shift(call, x, -values, axis)


def mul(call: Call) -> None:
    """A constant becomes a Scale."""
    x, constant, _ = _operands(call)
    if constant is None:
        _join(call, Mul())
    else:
        _scale(call, x, *along_one(call, constant, x))


def div(call: Call) -> None:
    """Over a constant is times its inverse; a constant over x is times x^-1."""
    x, constant, reversed_ = _operands(call)
    if constant is None:
        _join(call, Div())
        return
    values, axis = along_one(call, constant, x)
    if values.dtype.kind in "iub":
        call.refuse(f"{values.dtype} is divided by a constant, and only real numbers are")
    if reversed_:
        x = call.add(Power(-1.0), x, part="inverse")
        _scale(call, x, values, axis)
        return
    call.building.note("a division by constants is a multiplication by their inverses")
    with np.errstate(all="ignore"):
        inverses = (1 / values).astype(values.dtype)
    _scale(call, x, inverses, axis)


def _operands(call: Call) -> tuple[Value, Array | None, bool]:
    """The tensor, the values of the constant if the other one is, and whether that comes first."""
    if call.input_count != 2:
        raise InvalidArgumentError(f"it has {call.input_count} inputs, and must have 2")
    at = next((n for n in range(2) if isinstance(call.input(n), Constant)), None)
    if at is None:
        return call.value(0), None, False
    x, constant = call.value(1 - at), call.constant(at, "constant")
    if constant.dtype != x.dtype or x.dtype == "bool":
        raise InvalidArgumentError(f"its inputs are {x.dtype} and {constant.dtype}")
    return x, call.building.array(constant), at == 0


def _join(call: Call, layer: Layer) -> None:
    values = [call.value(position) for position in range(call.input_count)]
    if len({value.rank for value in values}) > 1:
        ranks = ", ".join(str(value.rank) for value in values)
        call.refuse(f"its inputs have {ranks} axes, and only tensors of equal rank are joined")
    call.put(call.add(layer, *values, shape=_common(values)))


def _common(values: list[Value]) -> OpenShape:
    """The shape of all of them if it is one; else nothing is known of it."""
    shapes = {value.shape for value in values}
    return shapes.pop() if len(shapes) == 1 else (None,) * (values[0].rank - 1)


def _scale(call: Call, x: Value, weight: Array, axis: int, bias: Array | None = None) -> None:
    compute = call.building.compute
    weights = {"weight": compute(weight), "bias": None if bias is None else compute(bias)}
    call.put(call.add(Scale(bias is not None, axis), x, weights=weights))


def _shift(call: Call, x: Value, bias: Array, axis: int) -> None:
    """Add a bias along an axis, as a Scale by 1."""
    constant = call.building.compute(bias)
    ones = filled(constant.dtype, constant.shape, 1)
    call.building.note("a sum with a constant is a Scale by 1 with a bias")
    call.put(call.add(Scale(axis=axis), x, weights={"weight": ones, "bias": constant}))


def _absorbed(call: Call, x: Value, constant: Array) -> bool:
    """Give the bias to the layer that made x, if nobody else reads that and it can have it."""
    maker: Any = call.building.layers.get(x.name)
    if call.building.uses[x.name] != 1 or not _has_room(maker, constant, x):
        return False
    bias = call.building.compute(constant.reshape(-1))
    call.building.amend(x, evolve(maker, bias=True), "bias", bias)
    call.put(x)
    return True


def _has_room(maker: Layer | None, constant: Array, x: Value) -> bool:
    """Whether a layer has no bias, and could have this one: along its axis."""
    if isinstance(maker, Dense):
        size, axis = maker.out_features, x.rank - 1
    elif isinstance(maker, Conv | ConvTranspose):
        size, axis = maker.out_channels, 1
    elif isinstance(maker, Scale):
        size, axis = x.shape[maker.axis - 1] or 0, maker.axis
    else:
        return False
    aligned = (1,) * (x.rank - constant.ndim) + constant.shape
    return not maker.bias and aligned == tuple(size if n == axis else 1 for n in range(x.rank))


def negate(call: Call) -> None:
    """Times -1."""
    call.put(call.add(Rescale(-1.0), call.value(0)))


def add_all(call: Call) -> None:
    """Sum: of one tensor it is that."""
    if call.input_count == 1:
        call.put(call.value(0))
    elif call.input_count == 2:
        add(call)
    else:
        _join(call, Add())


OPERATORS: dict[str, Callable[[Call], None]] = {
    "Add": add,
    "Sub": sub,
    "Mul": mul,
    "Div": div,
    "Sum": add_all,
    "Neg": negate,
}
