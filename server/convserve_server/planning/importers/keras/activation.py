"""Keras's activations, as layers and as the argument `activation` of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convserve.errors import UnsupportedError
from convserve.layers import (
    ELU,
    GELU,
    Clip,
    Exp,
    HardSigmoid,
    HardSwish,
    Layer,
    LeakyReLU,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Rescale,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)

from convserve_server.planning.importers.fields import shown
from convserve_server.planning.importers.keras.call import Call
from convserve_server.planning.importers.keras.values import Value

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805

# Keras's names of functions that take no arguments.
PLAIN: dict[str, Callable[[], Layer]] = {
    "relu": ReLU,
    "relu6": ReLU6,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "elu": ELU,
    "softplus": Softplus,
    "silu": SiLU,
    "swish": SiLU,
    "gelu": GELU,
    "mish": Mish,
    "hard_silu": HardSwish,
    "hard_swish": HardSwish,
    "exponential": Exp,
    "leaky_relu": lambda: LeakyReLU(0.2),
    "hard_tanh": lambda: Clip(-1.0, 1.0),
}
NAMES = ("linear", *PLAIN, "hard_sigmoid", "softmax", "selu")


def activate(call: Call, x: Value) -> Value:
    """What the layer's own `activation` does behind it."""
    name = activation_name(call)
    return x if name == "linear" else apply_function(call, x, name, part=name)


def activation_name(call: Call) -> str:
    """The function in the field `activation`: a name, or what Keras 3 writes for an object."""
    value: Any = call.fields.get("activation")
    if isinstance(value, dict):
        config = value.get("config")
        value = config if isinstance(config, str) else value.get("class_name")
    name = "linear" if value is None else value
    if not isinstance(name, str) or name not in NAMES:
        raise UnsupportedError(
            f"{call.fields.where}: activation {shown(name)} is not supported; supported: "
            f"{', '.join(NAMES)}",
            field="activation",
            metadata={"value": shown(name)},
        )
    return name


def apply_function(call: Call, x: Value, name: str, *, part: str = "") -> Value:
    """One of NAMES but `linear`. Softmax is over Keras's last axis."""
    if name == "softmax":
        return call.add(Softmax(x.place(x.rank)), x, part=part)
    if name == "hard_sigmoid":
        return call.add(HardSigmoid(0.2, 0.5) if call.old else HardSigmoid(), x, part=part)
    if name == "selu":
        return call.add(Rescale(_SELU_SCALE), call.add(ELU(_SELU_ALPHA), x, part="elu"), part=part)
    return call.add(PLAIN[name](), x, part=part)


def named(call: Call) -> Value:
    """Activation."""
    name = activation_name(call)
    return call.input if name == "linear" else apply_function(call, call.input, name)


def rectify(call: Call) -> Value:
    """ReLU: min(x, max_value) where x >= 0, else negative_slope * x."""
    fields = call.fields
    fields.require("threshold", (0, 0.0), "only a threshold of 0")
    slope = fields.real("negative_slope", 0.0)
    limit = fields.real("max_value") if "max_value" in fields else None
    if not slope and limit is not None:
        return call.add(ReLU6() if limit == 6 else Clip(0.0, limit), call.input)
    if limit is None:
        return call.add(LeakyReLU(slope) if slope else ReLU(), call.input)
    leaky = call.add(LeakyReLU(slope), call.input, part="leaky")
    return call.add(Clip(None, limit), leaky)


def rectify_leakily(call: Call) -> Value:
    """LeakyReLU, whose slope Keras 2 calls alpha."""
    name = "alpha" if "alpha" in call.fields else "negative_slope"
    return call.add(LeakyReLU(call.fields.real(name, 0.3)), call.input)


def rectify_learnt(call: Call) -> Value:
    """PReLU with one slope per channel: `shared_axes` has all axes but one."""
    x = call.input
    value = call.fields.get("shared_axes")
    shared = {call.axis(axis) for axis in value} if _is_axes(value) else set()
    shared |= set(range(1, call.lead + 1))
    own = [axis for axis in range(1, x.rank + 1) if axis not in shared]
    if len(own) != 1:
        raise call.fields.unsupported(
            "shared_axes", f"one slope per channel: share all but one of the {x.rank} axes"
        )
    others = tuple(axis for axis in range(1, x.rank + 1) if axis != own[0])
    return call.add(PReLU(), call.arranged((own[0], *others)))


def _is_axes(value: Any) -> bool:
    return isinstance(value, list) and all(type(axis) is int for axis in value)


def elu(call: Call) -> Value:
    """ELU."""
    return call.add(ELU(call.fields.real("alpha", 1.0)), call.input)


def softmax(call: Call) -> Value:
    """Softmax over one axis."""
    value = call.fields.get("axis")
    axis = value[0] if isinstance(value, list) and len(value) == 1 else value
    if axis is not None and type(axis) is not int:
        raise call.fields.unsupported("axis", "softmax over one axis")
    x = call.input
    place = x.place(call.axis(-1 if axis is None else axis))
    return call.add(Softmax(place), x)
