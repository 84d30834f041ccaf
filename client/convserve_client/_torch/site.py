"""Where layers come together: what a call of torch is given, and puts its layers into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import ml_dtypes
import torch
from attrs import evolve, field, frozen
from convserve.errors import UnsupportedError
from convserve.layers import Layer
from convserve.layers.fields import NAME_PATTERN
from convserve.tensors import Array, Shape

MAX_BASE = 120  # characters of a name, before a number makes it unique

# Makes the layers of one call: of its site and its arguments, where signals stand for tensors that
# depend on the input. Gives the signals that the call returns.
Handler: TypeAlias = Callable[..., Any]


@frozen
class Signal:
    """A tensor that depends on the network's input: what makes it, and what torch knows of it."""

    name: str
    shape: Shape
    dtype: torch.dtype

    @property
    def rank(self) -> int:
        """The number of axes, the batch included."""
        return len(self.shape)


@frozen(eq=False)
class Sketch:
    """The layers so far, in the order in which they run, and their weights.

    `taken` are names that no layer may have. `notes` keep their order, and none is there twice.
    """

    taken: frozenset[str]
    layers: dict[str, Layer] = field(factory=dict)
    weights: dict[str, torch.Tensor] = field(factory=dict)
    notes: dict[str, None] = field(factory=dict)

    def free_name(self, wanted: str) -> str:
        """The name, or the first of name_1, name_2, ... that is free."""
        base = "".join(c if NAME_PATTERN.fullmatch(c) else "_" for c in wanted)[:MAX_BASE]
        name, number = base, 0
        while name in self.layers or name in self.taken or name == "input":
            number += 1
            name = f"{base}_{number}"
        return name


@frozen
class Site:
    """One call: the name for its layers, and the shape and type of its (first) result."""

    sketch: Sketch
    name: str
    shape: Shape
    dtype: torch.dtype

    def add(
        self,
        layer: Layer,
        *reads: Any,
        shape: Shape | None = None,
        dtype: torch.dtype | None = None,
        **weights: Any,
    ) -> Signal:
        """Put a layer that reads these signals and has these weights; None is no weight.

        Its result has the shape and type of the call's, unless they are said. Raises
        UnsupportedError for what is no signal, or no constant.
        """
        inputs = [check_signal(each).name for each in reads]
        name = self.sketch.free_name(self.name)
        self.sketch.layers[name] = evolve(layer, name=name, inputs=inputs)
        for role, values in weights.items():
            if values is not None:
                self.sketch.weights[f"{name}.{role}"] = check_constant(values, role)
        return Signal(
            name, self.shape if shape is None else shape, self.dtype if dtype is None else dtype
        )

    def note(self, text: str) -> None:
        """Say something of the network that its reader would not expect."""
        self.sketch.notes[f"{self.name}: {text}"] = None


def check_signal(value: Any, rank: int | None = None) -> Signal:
    """The value, if it is a signal, and of so many axes. Raises UnsupportedError."""
    if not isinstance(value, Signal):
        shown = "a tensor" if isinstance(value, torch.Tensor) else repr(value)[:60]
        raise UnsupportedError(f"{shown} is constant where the result of a layer is read")
    refuse(
        rank is not None and value.rank != rank,
        f"its input has {value.rank} axes, {value.shape}, and not {rank}: give it a batch axis",
    )
    return value


def check_constant(value: Any, role: str) -> torch.Tensor:
    """The value, if it is a tensor that does not depend on the input. Raises UnsupportedError."""
    if not isinstance(value, torch.Tensor):
        raise UnsupportedError(f"its {role} depends on the input; weights must be constant")
    return value


def refuse(is_wrong: bool, reason: str) -> None:
    """Raise UnsupportedError if it is wrong."""
    if is_wrong:
        raise UnsupportedError(reason)


def as_array(tensor: torch.Tensor) -> Array:
    """The tensor's values, in the same memory if it is contiguous and on the CPU."""
    values = tensor.detach().cpu().contiguous()
    if values.dtype == torch.bfloat16:  # NumPy has no such type of its own
        return values.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    array: Array = values.numpy()
    return array
