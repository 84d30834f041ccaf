"""Constants that meet a tensor: one number, or one per channel."""

from __future__ import annotations

import numpy as np
from convserve.tensors import Array

from convserve_server.planning.importers.onnx.building import Value
from convserve_server.planning.importers.onnx.call import Call


def per_channel(call: Call, values: Array, x: Value) -> Array:
    """The values as one per channel of `x`, as broadcasting aligns them.

    Raises UnsupportedError for values that differ along another axis.
    """
    if values.size == 1:
        return np.repeat(values.reshape(-1), _channels(call, values, x))
    aligned = (1,) * (x.rank - values.ndim) + values.shape
    if values.ndim > x.rank or any(n != 1 for axis, n in enumerate(aligned) if axis != 1):
        call.refuse(
            f"its constant of shape {values.shape} meets a tensor of {x.rank} axes; only one "
            "number, or one per channel, is done"
        )
    return np.ascontiguousarray(values.reshape(-1))


def _channels(call: Call, values: Array, x: Value) -> int:
    channels = x.shape[0]
    if channels is None:
        call.refuse("its input's channels are not known; give the shapes of the inputs")
    return channels
