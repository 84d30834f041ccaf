"""Nodes whose results are known before the network runs: constants, and sizes of tensors.

Exporters compute the arguments of Reshape and Resize out of the sizes of other tensors. What is not
known then, the batch and open sizes, goes through as a mark: it may be moved, not computed with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
from convserve.errors import InvalidArgumentError
from convserve.tensors import Array, TensorSpec, dtype_of

from convserve_server.planning.importers.imported import Fill
from convserve_server.planning.importers.onnx import moving
from convserve_server.planning.importers.onnx.call import Call
from convserve_server.planning.importers.onnx.constants import BATCH, OPEN, Constant, filled
from convserve_server.planning.importers.onnx.moving import (
    arrays_of,
    axis_of,
    check_count,
    check_marks,
)

Fold: TypeAlias = Callable[[Call], Constant]


def constant(call: Call) -> Constant:
    """The tensor of an attribute."""
    found = call.tensor("value")
    if found is not None:
        return found
    for name, read, dtype in (
        ("value_float", call.numbers_or_one, np.float32),
        ("value_floats", call.numbers, np.float32),
        ("value_int", call.integers_or_one, np.int64),
        ("value_ints", call.integers, np.int64),
    ):
        values = read(name)
        if values is not None:
            array = np.array(values, dtype)
            return call.building.compute(array.reshape(()) if name in _ONES else array)
    return call.refuse("it holds no tensor or number; text and sparse tensors are not done")


_ONES = ("value_float", "value_int")


def constant_of_shape(call: Call) -> Constant:
    """One value in any number: only described."""
    sizes = call.integers_at(0, "shape") or ()
    spec = TensorSpec("", "float32", sizes)
    spec.check()
    if spec.is_symbolic or BATCH in sizes or OPEN in sizes:
        call.refuse("its shape depends on sizes that the file leaves open")
    element = call.tensor("value")
    if element is None:
        return filled("float32", spec.shape)
    if element.element_count != 1:
        raise InvalidArgumentError(
            f"its value has {element.element_count} elements, and must have 1"
        )
    data = call.building.array(element).tobytes()
    return Constant(element.dtype, spec.shape, Fill(data))


def shape(call: Call) -> Constant:
    """The sizes of a tensor, also of one that depends on the network's inputs."""
    tensor = call.input(0)
    sizes = () if tensor is None else call.building.shape_of(tensor)
    start, end = call.integer("start", 0), call.integer("end", len(sizes))
    return call.building.compute(np.array(sizes[slice(start, end)], np.int64))


def size(call: Call) -> Constant:
    """How many elements a constant has."""
    return call.building.compute(np.array(call.constant(0, "data").element_count, np.int64))


def cast(call: Call) -> Constant:
    """To another element type."""
    found, wanted = call.constant(0, "input"), call.element("to")
    call.ignore("saturate", "round_mode")
    if found.dtype == wanted:
        return found
    array = call.building.array(found)
    with np.errstate(all="ignore"):
        result = array.astype(dtype_of(wanted))
        if not np.array_equal(result.astype(array.dtype), array):
            check_marks(array)  # a type that does not hold one would make another number of it
    return call.building.compute(result)


def range_(call: Call) -> Constant:
    """Numbers at equal distances."""
    start, limit, delta = (call.array(n, "bound").reshape(()) for n in range(3))
    check_marks(start, limit, delta)
    if not delta:
        raise InvalidArgumentError("its delta is 0")
    check_count(max(0, math.ceil((float(limit) - float(start)) / float(delta))))
    numbers: Array = np.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)
    return call.building.compute(numbers)


def _elementwise(function: Callable[..., Any], inputs: int | None) -> Fold:
    """A function of so many inputs; None: of two, taken of any number, one after the other."""

    def compute(call: Call) -> Constant:
        arrays = arrays_of(call, inputs)
        check_marks(*arrays)
        check_count(math.prod(np.broadcast_shapes(*(array.shape for array in arrays))))
        with np.errstate(all="ignore"):
            result = function(*arrays) if inputs else reduce(function, arrays)
            _check_numbers(result, arrays)
            result = np.asarray(result, arrays[0].dtype)
        return call.building.compute(result)

    return compute


def _check_numbers(result: Any, arrays: Sequence[Array]) -> None:
    if np.isnan(result).any() and not any(np.isnan(array).any() for array in arrays):
        raise InvalidArgumentError("its result is no number: it computes 0 / 0, or a root below 0")


def _divide(a: Array, b: Array) -> Array:
    """Integers are divided towards zero."""
    if a.dtype.kind not in "iu":
        return a / b
    quotient, rest = _divided(a, b)
    towards_zero: Array = quotient + ((rest != 0) & ((a < 0) != (b < 0)))
    return towards_zero


def _modulo(a: Array, b: Array) -> Array:
    """The rest has the sign of the divisor, as Python's."""
    return _divided(a, b)[1]


def _divided(a: Array, b: Array) -> tuple[Array, Array]:
    """Quotient and rest of integers, rounded down."""
    if not b.all():
        raise InvalidArgumentError("it divides by 0")
    if a.dtype.kind == "i" and np.any((a == np.iinfo(a.dtype).min) & (b == -1)):
        raise InvalidArgumentError(
            f"it divides {np.iinfo(a.dtype).min} by -1, which {a.dtype} does not hold"
        )
    return np.divmod(a, b)


def _product(call: Call) -> Constant:
    data = call.array(0, "data")
    check_marks(data)
    axes = call.axes(1)
    keeps = call.flag("keepdims", default=True)
    where = None if axes is None else tuple(axis_of(axis, data.ndim) for axis in axes)
    return call.building.compute(np.asarray(np.prod(data, where, data.dtype, keepdims=keeps)))


FOLDS: dict[str, Fold] = {
    "Constant": constant,
    "ConstantOfShape": constant_of_shape,
    "Shape": shape,
    "Size": size,
    "Cast": cast,
    "Identity": moving.same,
    "Dropout": moving.same,
    "Transpose": moving.transpose,
    "Reshape": moving.reshape,
    "Squeeze": moving.squeeze,
    "Unsqueeze": moving.unsqueeze,
    "Gather": moving.gather,
    "Concat": moving.concat,
    "Slice": moving.slice_,
    "Expand": moving.expand,
    "Equal": moving.equal,
    "Where": moving.where,
    "Range": range_,
    "ReduceProd": _product,
    "Add": _elementwise(np.add, 2),
    "Sub": _elementwise(np.subtract, 2),
    "Mul": _elementwise(np.multiply, 2),
    "Div": _elementwise(_divide, 2),
    "Mod": _elementwise(_modulo, 2),
    "Min": _elementwise(np.minimum, None),
    "Max": _elementwise(np.maximum, None),
    "Neg": _elementwise(np.negative, 1),
    "Abs": _elementwise(np.abs, 1),
    "Floor": _elementwise(np.floor, 1),
    "Ceil": _elementwise(np.ceil, 1),
    "Sqrt": _elementwise(np.sqrt, 1),
    "Exp": _elementwise(np.exp, 1),
    "Log": _elementwise(np.log, 1),
    "Reciprocal": _elementwise(np.reciprocal, 1),
}
