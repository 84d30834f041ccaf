"""Darknet's activations (src/activations.c)."""

from __future__ import annotations

from collections.abc import Callable

from convserve.layers import (
    ELU,
    Clip,
    Layer,
    LeakyReLU,
    Mish,
    ReLU,
    ReLU6,
    Rescale,
    Sigmoid,
    SiLU,
    Tanh,
)

from convserve_server.planning.importers.draft import Draft
from convserve_server.planning.importers.fields import FileFields

ACTIVATIONS: dict[str, Callable[[], tuple[Layer, ...]]] = {
    "linear": tuple,
    "leaky": lambda: (LeakyReLU(0.1),),
    "relie": lambda: (LeakyReLU(0.01),),
    "relu": lambda: (ReLU(),),
    "relu6": lambda: (ReLU6(),),
    "logistic": lambda: (Sigmoid(),),
    "loggy": lambda: (Sigmoid(), Rescale(2.0, -1.0)),
    "tanh": lambda: (Tanh(),),
    "elu": lambda: (ELU(),),
    "selu": lambda: (ELU(1.6732), Rescale(1.0507)),
    "hardtan": lambda: (Clip(-1.0, 1.0),),
    "mish": lambda: (Mish(),),
    "swish": lambda: (SiLU(),),
}


def add_activation(
    draft: Draft, owner: str, fields: FileFields, x: str, *, default: str = "linear", name: str = ""
) -> str:
    """The section's activation after `x`, called `<owner>/<activation>`, or `name`."""
    kind = fields.word("activation", tuple(ACTIVATIONS), default)
    for layer in ACTIVATIONS[kind]():
        x = draft.add(name or f"{owner}/{kind}", layer, x)
    return x
