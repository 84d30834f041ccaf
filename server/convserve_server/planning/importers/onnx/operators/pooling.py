"""Pools over windows and over everything, and their inverse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convserve.errors import InvalidArgumentError
from convserve.layers import (
    AvgPool,
    GlobalAvgPool,
    GlobalLpPool,
    GlobalMaxPool,
    Layer,
    LpPool,
    MaxPool,
    MaxPoolIndices,
    MaxUnpool,
    Pad,
)
from convserve.tensors import Shape

from convserve_server.planning.importers.onnx.building import OpenShape, Value
from convserve_server.planning.importers.onnx.call import Call, check_open
from convserve_server.planning.importers.onnx.operators.windows import padding, per_axis, window


def _kernel(call: Call, x: Value) -> tuple[int, ...]:
    kernel = call.integers("kernel_shape")
    if not kernel or len(kernel) != x.rank - 2:
        raise InvalidArgumentError(
            f"its kernel_shape {kernel} does not fit an input of {x.rank} axes"
        )
    return kernel


def _fields(call: Call, x: Value) -> dict[str, Any]:
    """ONNX's stride is 1 by default, not the window."""
    kernel = _kernel(call, x)
    return {
        "kernel_size": kernel,
        **window(call, kernel),
        "ceil_mode": call.flag("ceil_mode"),
    }


def _open(x: Value) -> OpenShape:
    return (x.shape[0], *(None for _ in x.shape[1:]))


def max_pool(call: Call) -> None:
    """The second output is where the maxima were, counted over the whole tensor."""
    x = call.value(0)
    fields = _fields(call, x)
    column_major = call.flag("storage_order")
    if call.wants(0):
        call.put(call.add(MaxPool(**fields), x, shape=_open(x)))
    if call.wants(1):
        layer = MaxPoolIndices(**fields, scope="sample", column_major=column_major)
        call.put(call.add(layer, x, part="indices", shape=_open(x)), 1)
        call.building.note(
            "indices of MaxPool are counted within each sample: ONNX's, which count over the whole "
            "batch, are the same for a batch of 1"
        )


def max_unpool(call: Call) -> None:
    """Inputs: values, their indices, and the shape of the result, if it is larger than it must be.

    Indices count in the smallest result; what is added to it lies at the end of each axis.
    """
    x, indices = call.value(0), call.value(1)
    kernel = _kernel(call, x)
    wanted = call.integers_at(2, "output_shape")
    layer = MaxUnpool(
        kernel,
        per_axis(call, "strides", len(kernel)),
        padding(call, len(kernel)),
        scope="sample",
    )
    result = call.add(layer, x, indices, part="" if wanted is None else "least", shape=_open(x))
    if wanted is not None:
        extra = _extra(call, check_open(wanted[2:], "output_shape"), result.sizes[1:])
        result = call.add(Pad([(0, size) for size in extra]), result)
    call.put(result)


def _extra(call: Call, wanted: Shape, least: Shape) -> Shape:
    if len(wanted) != len(least) or any(a < b for a, b in zip(wanted, least, strict=True)):
        call.refuse(f"its output_shape {wanted} is smaller than what its windows need, {least}")
    return tuple(a - b for a, b in zip(wanted, least, strict=True))


def average_pool(call: Call) -> None:
    """Padding does not count in the divisor unless that is asked for."""
    x = call.value(0)
    include = call.flag("count_include_pad")
    layer = AvgPool(**_fields(call, x), count_include_pad=include)
    call.put(call.add(layer, x, shape=_open(x)))


def lp_pool(call: Call) -> None:
    """The p-norm of windows."""
    x = call.value(0)
    layer = LpPool(**_fields(call, x), p=call.integer("p", 2))
    call.put(call.add(layer, x, shape=_open(x)))


def _global(make: Callable[[Call], Layer]) -> Callable[[Call], None]:
    def pool(call: Call) -> None:
        x = call.value(0)
        call.put(call.add(make(call), x, shape=(x.shape[0], *(1 for _ in x.shape[1:]))))

    return pool


OPERATORS = {
    "MaxPool": max_pool,
    "MaxUnpool": max_unpool,
    "AveragePool": average_pool,
    "LpPool": lp_pool,
    "GlobalAveragePool": _global(lambda _: GlobalAvgPool()),
    "GlobalMaxPool": _global(lambda _: GlobalMaxPool()),
    "GlobalLpPool": _global(lambda call: GlobalLpPool(call.integer("p", 2))),
}
