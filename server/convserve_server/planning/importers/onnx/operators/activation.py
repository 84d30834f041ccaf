"""Elementwise functions, and Softmax."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from convserve.layers import (
    ELU,
    GELU,
    Abs,
    Clip,
    Erf,
    Exp,
    HardSigmoid,
    HardSwish,
    Layer,
    LeakyReLU,
    Log,
    Mish,
    Power,
    PReLU,
    ReLU,
    ReLU6,
    Reshape,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Sqrt,
    Tanh,
)

from convserve_server.planning.importers.onnx.building import Value
from convserve_server.planning.importers.onnx.call import Call
from convserve_server.planning.importers.onnx.operators.channels import check_rank, per_channel

SOFTMAX_ONE_AXIS = 13  # the version from which Softmax is over one axis


def _plain(make: Callable[[Call], Layer]) -> Callable[[Call], None]:
    """An operator that becomes the layer which `make` reads from its attributes."""

    def activate(call: Call) -> None:
        call.put(call.add(make(call), call.value(0)))

    return activate


def _gelu(call: Call) -> Layer:
    form = call.text("approximate", "none")
    if form != "none":
        call.refuse(f"its approximation {form!r} is not done; export it with approximate='none'")
    return GELU()


def _swish(call: Call) -> Layer:
    if call.number("alpha", 1.0) != 1:
        call.refuse("its alpha is not 1")
    return SiLU()


def clip(call: Call) -> None:
    """The bounds are attributes up to opset 10, and inputs then."""
    low = _bound(call, 1, "min")
    high = _bound(call, 2, "max")
    layer: Layer = Clip(low, high)
    if (low, high) == (0, 6):
        layer = ReLU6()
    elif (low, high) == (0, None):
        layer = ReLU()
    call.put(call.add(layer, call.value(0)))


def _bound(call: Call, position: int, name: str) -> float | None:
    """A bound; one at the end of float32 bounds nothing."""
    found = call.number(name, math.nan)
    if call.optional(position, name) is not None:
        found = call.scalar(position, name)
    return None if math.isnan(found) or abs(found) >= np.finfo(np.float32).max else found


def power(call: Call) -> None:
    """The exponent must be one number."""
    check_rank(call, call.array(1, "exponent"), call.value(0))
    call.put(call.add(Power(call.scalar(1, "exponent")), call.value(0)))


def prelu(call: Call) -> None:
    """The slope must be per channel, or one number."""
    x = call.value(0)
    slope = per_channel(call, call.array(1, "slope"), x)
    call.put(call.add(PReLU(), x, weights={"weight": call.building.compute(slope)}))


def softmax(call: Call) -> None:
    """Over one axis; up to opset 12 over that axis and all behind it, as if they were one."""
    call.put(_softmax(call))


def log_softmax(call: Call) -> None:
    """The logarithm of Softmax."""
    result = _softmax(call, part="softmax")
    call.building.note(
        "LogSoftmax is Softmax and then Log: below 1e-38 it gives -inf, where other programs give "
        "the number"
    )
    call.put(call.add(Log(), result))


def _softmax(call: Call, part: str = "") -> Value:
    x = call.value(0)
    is_old = call.opset < SOFTMAX_ONE_AXIS
    axis = call.axis(call.integer("axis", 1 if is_old else -1), x.rank)
    if not is_old or all(size == 1 for size in x.shape[axis:]):
        return call.add(Softmax(axis), x, part=part)
    sizes = x.sizes
    rows, row = sizes[: axis - 1], math.prod(sizes[axis - 1 :])
    flat = call.add(Reshape((*rows, row)), x, part="flat")
    soft = call.add(Softmax(axis), flat, part=part)
    return call.add(Reshape(sizes), soft, part="shape")


OPERATORS = {
    "Relu": _plain(lambda _: ReLU()),
    "LeakyRelu": _plain(lambda call: LeakyReLU(call.number("alpha", 0.01))),
    "Sigmoid": _plain(lambda _: Sigmoid()),
    "Tanh": _plain(lambda _: Tanh()),
    "Elu": _plain(lambda call: ELU(call.number("alpha", 1.0))),
    "Softplus": _plain(lambda _: Softplus()),
    "Gelu": _plain(_gelu),
    "Swish": _plain(_swish),
    "HardSigmoid": _plain(
        lambda call: HardSigmoid(call.number("alpha", 0.2), call.number("beta", 0.5))
    ),
    "HardSwish": _plain(lambda _: HardSwish()),
    "Mish": _plain(lambda _: Mish()),
    "Exp": _plain(lambda _: Exp()),
    "Sqrt": _plain(lambda _: Sqrt()),
    "Abs": _plain(lambda _: Abs()),
    "Log": _plain(lambda _: Log()),
    "Erf": _plain(lambda _: Erf()),
    "Reciprocal": _plain(lambda _: Power(-1.0)),
    "Clip": clip,
    "Pow": power,
    "PRelu": prelu,
    "Softmax": softmax,
    "LogSoftmax": log_softmax,
}
