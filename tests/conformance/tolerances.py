"""How near two engines must be, by element type."""

from __future__ import annotations

import numpy as np
from convserve.tensors import Array, dtype_name

# dtype -> the largest max|a - b| / max(1, max|b|); a type that is not here must be equal
TOLERANCES = {
    "float64": 1e-12,
    "complex128": 1e-12,
    "float32": 1e-5,
    "complex64": 1e-5,
    "float16": 2e-3,
    "bfloat16": 1.6e-2,
}


def assert_agree(actual: Array, expected: Array) -> None:
    """Equal shape and dtype, NaN and infinities at the same places, and near enough elsewhere."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    tolerance = TOLERANCES.get(dtype_name(expected.dtype))
    if tolerance is None:
        np.testing.assert_array_equal(actual, expected)
    else:
        error, scale = largest_error(actual, expected)
        assert error <= tolerance * max(1.0, scale), f"error {error:.3g} at scale {scale:.3g}"


def largest_error(actual: Array, expected: Array) -> tuple[float, float]:
    """max|a - b| and max|b| over the finite elements; infinite where others differ."""
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    a, b = actual.astype(wide), expected.astype(wide)
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return np.inf, 1.0
    a, b = a[finite], b[finite]
    return float(np.max(np.abs(a - b), initial=0.0)), float(np.max(np.abs(b), initial=0.0))
