"""Constants that meet a tensor: one number, or several along one of its axes."""

from __future__ import annotations

import numpy as np
from convserve.tensors import Array

from convserve_server.planning.importers.onnx.building import Value
from convserve_server.planning.importers.onnx.call import Call


def along_one(call: Call, values: Array, x: Value) -> tuple[Array, int]:
    """The values as one per element of an axis of `x`, as broadcasting aligns them, and that axis.

    It is numbered from 1, the channels, along which one number is repeated. Raises UnsupportedError
    for values that differ along the batch or along several axes, or have more axes than `x`.
    """
    check_rank(call, values, x)
    aligned = (1,) * (x.rank - values.ndim) + values.shape
    axes = [axis for axis, size in enumerate(aligned) if size != 1] or [1]
    if len(axes) > 1 or axes[0] == 0:
        call.refuse(
            f"its constant of shape {values.shape} meets a tensor of {x.rank} axes; only one "
            "number is done, or several along one axis of a sample"
        )
    if values.size == 1:
        return np.repeat(values.reshape(-1), _channels(call, x)), 1
    return np.ascontiguousarray(values.reshape(-1)), axes[0]


def per_channel(call: Call, values: Array, x: Value) -> Array:
    """The values as one per channel of `x`. Raises UnsupportedError for another axis."""
    flat, axis = along_one(call, values, x)
    if axis != 1:
        call.refuse(f"its constant of shape {values.shape} is not one number, or one per channel")
    return flat


def check_rank(call: Call, values: Array, x: Value) -> None:
    """Raise UnsupportedError for more axes than `x` has, for the result would have them too."""
    if values.ndim > x.rank:
        call.refuse(
            f"its constant of shape {values.shape} has more axes than the tensor, {x.rank}, and "
            "would give them to the result; export it with no more"
        )


def _channels(call: Call, x: Value) -> int:
    channels = x.shape[0]
    if channels is None:
        call.refuse("its input's channels are not known; give the shapes of the inputs")
    return channels
