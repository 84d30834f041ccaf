"""When an integer result is exact: a bound from the values, checked before anything is computed."""

from __future__ import annotations

import numpy as np
from convserve.errors import InvalidArgumentError
from convserve.tensors import Array, dtype_of
from numpy.typing import DTypeLike

_EXACT_FLOAT64 = 2**53  # every integer up to here is a float64, so sums of integers are exact
_ROUNDING_MARGIN = 1 + 2.0**-20  # above it: more than the rounding of 2**31 float64 additions


def check_integer_bound(
    x: Array,
    weight: Array,
    bias: Array | None,
    output_dtype: str,
    *,
    summed_axes: tuple[int, ...],
    field: str,
) -> int:
    """Return max|x| * max(sum|weight|) + max|bias|: no element of the result is larger.

    `summed_axes` are the axes of `weight` that are summed into one output element; the maximum is
    taken over the others. All arrays hold integers or bools. With the bound inside `output_dtype`,
    arithmetic modulo 2**64 gives the exact result, whatever the order of the sums.

    Raises InvalidArgumentError for `field` if the bound is above the largest `output_dtype`.
    """
    largest_bias = 0 if bias is None else _largest(bias)
    return judge_integer_bound(
        _largest(x), _largest_sum(weight, summed_axes), largest_bias, output_dtype, field=field
    )


def judge_integer_bound(
    x: int, weight_sum: float, bias: int, output_dtype: str, *, field: str
) -> int:
    """What `check_integer_bound` returns and raises, from the numbers that it finds in the arrays.

    They are max|x|, max(sum|weight|) as summed in float64, and max|bias| (0 without one).
    """
    if weight_sum >= _EXACT_FLOAT64:
        weight_sum *= _ROUNDING_MARGIN
    bound = x * int(weight_sum) + bias
    limit = int(np.iinfo(dtype_of(output_dtype)).max)
    if bound > limit:
        wider = "" if output_dtype == "int64" else " or to int64"
        raise InvalidArgumentError(
            f"integer overflow: with these values a result can reach {bound}, above the largest "
            f"{output_dtype} {limit}; cast an operand to float64{wider}, or scale the values down",
            field=field,
            metadata={"bound": bound, "limit": limit, "dtype": output_dtype},
        )
    return bound


def exact_type(bound: float) -> DTypeLike:
    """The fastest type in which sums of integers up to `bound` are exact."""
    if bound < 1 << 24:
        return np.float32
    return np.float64 if bound < 1 << 53 else np.int64


def _largest(array: Array) -> int:
    """max|array| as an exact Python int; |-128| is 128, which int8 does not have."""
    if array.size == 0:
        return 0
    return max(int(array.max()), -int(array.min()))


def _largest_sum(weight: Array, summed_axes: tuple[int, ...]) -> float:
    """The largest sum|weight| over `summed_axes`, in float64."""
    if weight.dtype == np.bool_:
        weight = weight.astype(np.uint8)
    above = np.maximum(weight, 0).sum(axis=summed_axes, dtype=np.float64)
    below = np.minimum(weight, 0).sum(axis=summed_axes, dtype=np.float64)
    return float(np.max(above - below, initial=0.0))
