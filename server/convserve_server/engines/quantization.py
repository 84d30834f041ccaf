"""From exact integer sums to quantized numbers: ONNX's QLinearConv, the same on every engine."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import frozen
from convserve.errors import InvalidArgumentError
from convserve.tensors import Array, dtype_of


def check_scales(scales: Array, field: str) -> None:
    """Raise InvalidArgumentError for `field` unless all are finite numbers above 0."""
    if not (np.isfinite(scales) & (scales > 0)).all():
        raise InvalidArgumentError(
            "a scale is not a finite number above 0; quantize with such scales", field=field
        )


@frozen(eq=False)
class Quantizer:
    """A factor per channel, and the zero point and the type of the result."""

    factors: Array
    zero_point: int
    dtype: str

    @classmethod
    def of(cls, weights: Mapping[str, Array], name: str, dtype: str) -> Quantizer:
        """That of the layer `name`, from its weights by role, for a result of `dtype`.

        Raises InvalidArgumentError for a scale that is not a finite number above 0.
        """
        scales = {role: array for role, array in weights.items() if role.endswith("_scale")}
        for role, array in scales.items():
            check_scales(array, f"tensors['{name}.{role}']")
        x, weight, y = (
            scales[f"{each}_scale"].astype(np.float64) for each in ("input", "weight", "output")
        )
        return cls(x * weight / y, int(weights["output_zero_point"][0]), dtype)

    def quantize(self, sums: Array) -> Array:
        """float64 integers from sums (N, K, *L'): scaled, rounded half to even, and cut."""
        limits = np.iinfo(dtype_of(self.dtype))
        values = sums * self.factors.reshape(-1, *[1] * (sums.ndim - 2))
        np.rint(values, out=values)
        values += self.zero_point
        return np.clip(values, limits.min, limits.max, out=values)
