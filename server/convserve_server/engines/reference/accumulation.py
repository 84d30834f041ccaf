"""In what type sums are made: the widest of its class, so that a step rounds once, at its end."""

from __future__ import annotations

from typing import Any

import numpy as np
from convserve.tensors import Array, TensorSpec, dtype_of

_INTEGER_KINDS = "biu"


def is_integer(spec: TensorSpec) -> bool:
    """Whether the tensor holds integers or bools."""
    return dtype_of(spec.dtype).kind in _INTEGER_KINDS


def accumulator_of(spec: TensorSpec) -> np.dtype[Any]:
    """float64, complex128 or int64: where a step with the output `spec` makes its sums.

    int64 also serves unsigned results: modulo 2**64 the sums are the same.
    """
    kind = dtype_of(spec.dtype).kind
    if kind == "c":
        return np.dtype(np.complex128)
    return np.dtype(np.int64 if kind in _INTEGER_KINDS else np.float64)


def widen(array: Array, output: TensorSpec) -> Array:
    """The array in the type in which sums for `output` are made. Copies only to convert."""
    return array.astype(accumulator_of(output), copy=False)


def conjugate(array: Array) -> Array:
    """The complex conjugate; a real array as it is."""
    return array.conj() if array.dtype.kind == "c" else array
