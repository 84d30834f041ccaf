"""Element types of results: which kinds of layers take which, and what they give."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np  # for its promotion table only
from convserve.errors import DTypeError
from convserve.tensors import dtype_name, dtype_of

BOOL, INTEGER, FLOATING, COMPLEX = "bool", "integer", "floating", "complex"
ANY = (BOOL, INTEGER, FLOATING, COMPLEX)
NUMBERS = (INTEGER, FLOATING, COMPLEX)
REAL = (INTEGER, FLOATING)
FRACTIONS = (FLOATING,)

# dtype class -> what to cast to where it is not taken, and the largest finite value
_CAST_TO = {INTEGER: "int8 to uint64", FLOATING: "float16, bfloat16, float32 or float64"}
_LARGEST = {"float16": 65504.0, "bfloat16": (2 - 2**-7) * 2.0**127}
_LARGEST |= dict.fromkeys(("float32", "complex64"), (2 - 2**-23) * 2.0**127)
NARROW_BITS = 16  # integers up to this width give int32


def dtype_class(dtype: str) -> str:
    """`bool`, `integer`, `floating` or `complex`."""
    if dtype == "bool":
        return BOOL
    return INTEGER if "int" in dtype else COMPLEX if "complex" in dtype else FLOATING


def check_takes(takes: tuple[str, ...], operands: Mapping[str, str]) -> None:
    """Raise DTypeError for an operand (name -> dtype) of a class that is not in `takes`."""
    for name, dtype in operands.items():
        if dtype_class(dtype) not in takes:
            casts = ", or ".join(_CAST_TO[each] for each in takes if each in _CAST_TO)
            raise DTypeError(
                f"{name!r} is {dtype}, but only {' and '.join(takes)} elements are taken; cast "
                f"it to {casts}",
                metadata={"value": dtype, "takes": ", ".join(takes)},
            )


def promote(dtypes: Iterable[str]) -> str:
    """`np.result_type`. Raises DTypeError where NumPy has no common type."""
    return _promote(tuple(dtypes))


@lru_cache(maxsize=1024)  # networks have few types, and NumPy takes its time
def _promote(dtypes: tuple[str, ...]) -> str:
    try:
        return dtype_name(np.result_type(*map(dtype_of, dtypes)))
    except TypeError:  # bfloat16 with float16, or with integers of 16 bits and more
        raise DTypeError(
            f"{' and '.join(dict.fromkeys(dtypes))} have no common element type; cast all of them "
            "to one, such as float32",
            metadata={"dtypes": ", ".join(dtypes)},
        ) from None


def accumulate(dtypes: Iterable[str]) -> str:
    """The type of sums of products: as `promote`, but integers widen.

    Integers give int32 where every operand has at most 16 bits (bool counts as uint8), else int64.
    """
    dtypes = tuple(dtypes)
    if all(dtype_class(dtype) in (BOOL, INTEGER) for dtype in dtypes):
        widest = max(dtype_of(dtype).itemsize for dtype in dtypes) * 8
        return "int32" if widest <= NARROW_BITS else "int64"
    return promote(dtypes)


def check_holds(dtype: str, value: float, field: str) -> None:
    """Raise DTypeError for `field` unless `value` is an element of the type."""
    if not holds(dtype, value):
        raise DTypeError(
            f"{field} {value} is not an element of {dtype}; use a value of that type, or cast the "
            "input to float32",
            field=field,
            metadata={"value": value, "dtype": dtype},
        )


def holds(dtype: str, value: float) -> bool:
    """Whether `value` is an element of the type, or rounds to a finite one."""
    kind = dtype_class(dtype)
    if kind == BOOL:
        return value in (0, 1)
    if kind == INTEGER:
        bits = dtype_of(dtype).itemsize * 8
        low, high = (0, 2**bits) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1))
        return value == math.floor(value) and low <= value < high
    return abs(value) <= _LARGEST.get(dtype, math.inf)
