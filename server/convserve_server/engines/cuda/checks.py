"""What must hold of values that were computed on the device, judged on the host."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from convserve.tensors import Array, dtype_of

from convserve_server.engines.cuda.recipe import Check
from convserve_server.engines.indices import check_index_range
from convserve_server.engines.integers import judge_integer_bound
from convserve_server.engines.quantization import check_scales

INTEGER_BOUND = "integer_bound"
INDEX_RANGE = "index_range"
FINITE = "finite"
SCALES = "scales"


class NotFiniteError(Exception):
    """A Fourier transform would spread a NaN or an infinity: it must be done without."""


def judge(check: Check, values: Sequence[Array]) -> None:
    """Raise an error if a check does not hold of its values, as its function here says."""
    _JUDGES[check.kind](check, values)


def _judge_integers(check: Check, values: Sequence[Array]) -> None:
    """That of `integers.check_integer_bound`, for results of `check.dtype`.

    The values, each of any length, are

    - of the integer type of x or of one that holds it: numbers of which the smallest and the
      largest are those of x;
    - float64: numbers of which the largest is the largest sum|weight|, such as that of every output
      channel;
    - if there is a bias, as for x.
    """
    x, weight_sums, *bias = values
    judge_integer_bound(
        _largest(x),
        float(np.max(weight_sums, initial=0.0)),
        _largest(bias[0]) if bias else 0,
        check.dtype,
        field=check.field,
    )


def _judge_indices(check: Check, values: Sequence[Array]) -> None:
    """That of `indices.check_index_range`, for `check.limit` places.

    The values are numbers of which the smallest and the largest are those of the indices.
    """
    check_index_range(values[0], check.limit, check.field)


def _judge_finite(check: Check, values: Sequence[Array]) -> None:
    """Raises NotFiniteError if a Fourier transform would spread, or make, what is not finite.

    The values are numbers in float64 for each factor of the products that are summed, with the
    factor's largest magnitude among them. Nothing that is computed in `check.dtype` is larger than
    `check.limit` times the product of these.
    """
    bound = check.limit * math.prod(float(np.max(each, initial=0.0)) for each in values)
    if not bound <= float(np.finfo(dtype_of(check.dtype)).max):  # nor is a NaN
        raise NotFiniteError


def _judge_scales(check: Check, values: Sequence[Array]) -> None:
    """That of `quantization.check_scales`. The values are the scales."""
    check_scales(values[0], check.field)


_JUDGES: dict[str, Callable[[Check, Sequence[Array]], None]] = {
    INTEGER_BOUND: _judge_integers,
    INDEX_RANGE: _judge_indices,
    FINITE: _judge_finite,
    SCALES: _judge_scales,
}


def _largest(extremes: Array) -> int:
    if not extremes.size:
        return 0
    return max(int(extremes.max()), -int(extremes.min()))
