"""What each operator becomes. A function reads one node and puts its results."""

from __future__ import annotations

from collections.abc import Callable

from convserve_server.planning.importers.onnx.call import Call
from convserve_server.planning.importers.onnx.operators import (
    activation,
    arithmetic,
    convolution,
    features,
    normalization,
    parts,
    pooling,
    quantized,
    resizing,
    shapes,
)

OPERATORS: dict[str, Callable[[Call], None]] = {
    name: translate
    for module in (
        *(convolution, quantized, pooling, normalization, activation),
        *(arithmetic, features, shapes, parts, resizing),
    )
    for name, translate in module.OPERATORS.items()
}
