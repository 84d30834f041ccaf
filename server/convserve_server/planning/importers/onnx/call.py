"""One node in its place: its attributes, its inputs, and what it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from attrs import evolve, field, frozen
from convserve.errors import InvalidArgumentError, UnsupportedError
from convserve.layers import Layer
from convserve.tensors import Array, Shape

from convserve_server.planning.importers.onnx.building import Building, OpenShape, Value
from convserve_server.planning.importers.onnx.constants import (
    BATCH,
    OPEN,
    Constant,
    element_type,
)
from convserve_server.planning.importers.onnx.messages import (
    AttributeMessage,
    NodeMessage,
    TensorMessage,
)

# ONNX's number of an attribute's type -> the field that holds it, and what is there if nothing is.
_HELD: dict[int, tuple[str, Any]] = {
    1: ("number", 0.0),
    2: ("integer", 0),
    3: ("text", None),
    4: ("tensor", None),
    6: ("numbers", []),
    7: ("integers", []),
}
MAX_ATTRIBUTE_TEXT = 100
MAX_INTEGERS = 1024  # of one list: axes, sizes, paddings, places to split
_NO_WEIGHTS: Mapping[str, Constant | None] = {}


@frozen(eq=False)
class Call:
    """A node, with what the graph is so far. Its methods raise ConvserveError without the place."""

    node: NodeMessage
    index: int
    building: Building
    _attributes: dict[str, AttributeMessage] = field(init=False)
    _used: set[str] = field(factory=set, init=False)

    @_attributes.default
    def _by_name(self) -> dict[str, AttributeMessage]:
        return {attribute.name: attribute for attribute in self.node.attributes}

    @property
    def opset(self) -> int:
        """The version of the operators."""
        return self.building.opset

    # Attributes. One that nobody asks for is refused at the end.

    def integer(self, name: str, default: int) -> int:
        """An integer."""
        return int(self._attribute(name, "integer", default))

    def flag(self, name: str, *, default: bool = False) -> bool:
        """An integer that stands for yes or no."""
        return bool(self.integer(name, int(default)))

    def number(self, name: str, default: float) -> float:
        """A real number: the shortest that the 32 bits of the file stand for."""
        return float(str(np.float32(self._attribute(name, "number", default))))

    def text(self, name: str, default: str) -> str:
        """A word."""
        span = self._attribute(name, "text", None)
        if span is None:
            return default
        end = span.offset + min(span.byte_count, MAX_ATTRIBUTE_TEXT)
        return bytes(self.building.file[span.offset : end]).decode(errors="replace")

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Integers, if there are any."""
        found = self._attribute(name, "integers", None)
        if found is not None and len(found) > MAX_INTEGERS:
            self.refuse(f"its {name} has {len(found)} numbers; the limit is {MAX_INTEGERS}")
        return None if found is None else tuple(found)

    def numbers(self, name: str) -> tuple[float, ...] | None:
        """Real numbers, if there are any."""
        found = self._attribute(name, "numbers", None)
        return None if found is None else tuple(found)

    def integers_or_one(self, name: str) -> tuple[int, ...] | None:
        """One integer as a list, if there is one."""
        found = self._attribute(name, "integer", None)
        return None if found is None else (found,)

    def numbers_or_one(self, name: str) -> tuple[float, ...] | None:
        """One real number as a list, if there is one."""
        found = self._attribute(name, "number", None)
        return None if found is None else (found,)

    def tensor(self, name: str) -> Constant | None:
        """A tensor, if there is one."""
        found: TensorMessage | None = self._attribute(name, "tensor", None)
        return None if found is None else self.building.store(found)

    def element(self, name: str) -> str:
        """The name of an element type."""
        return element_type(self.integer(name, 0))

    def ignore(self, *names: str) -> None:
        """Attributes that change nothing here."""
        self._used.update(names)

    def finish(self) -> None:
        """Raise for an attribute that nobody has asked for."""
        left = sorted(set(self._attributes) - self._used)
        if left:
            self.refuse(f"its attributes {', '.join(left)[:200]} are not known here")

    def _attribute(self, name: str, role: str, default: Any) -> Any:
        self._used.add(name)
        attribute = self._attributes.get(name)
        if attribute is None:
            return default
        found = getattr(attribute, role)
        held, nothing = _HELD.get(attribute.type, ("", None)) if attribute.type else (role, found)
        if held != role or attribute.reference:
            raise InvalidArgumentError(f"its attribute {name} is not of the type that ONNX says")
        return nothing if found is None else found

    # Inputs.

    @property
    def input_count(self) -> int:
        """How many inputs are named, left out ones between them included."""
        return len(self.node.inputs)

    def input(self, position: int) -> Value | Constant | None:
        """An input, if it is given."""
        name = self.node.inputs[position] if position < self.input_count else ""
        return self.building.tensors[name] if name else None

    def value(self, position: int) -> Value:
        """An input that depends on the network's. Raises UnsupportedError for another."""
        found = self.input(position)
        if isinstance(found, Value):
            return found
        what = "is left out" if found is None else "is a constant"
        return self.refuse(f"its input {position} {what}, but must come from the network's inputs")

    def constant(self, position: int, what: str) -> Constant:
        """An input that is known. Raises UnsupportedError for another."""
        found = self.optional(position, what)
        if found is None:
            raise InvalidArgumentError(f"its input {position}, the {what}, is left out")
        return found

    def optional(self, position: int, what: str) -> Constant | None:
        """An input that is known, or left out."""
        found = self.input(position)
        if isinstance(found, Value):
            self.refuse(
                f"its input {position}, the {what}, depends on the network's inputs; it must be an "
                "initializer, or follow from constants and shapes"
            )
        return found

    def array(self, position: int, what: str) -> Array:
        """The values of an input that is known."""
        return self.building.array(self.constant(position, what))

    def scalar(self, position: int, what: str) -> float:
        """The one number of an input that is known. Raises UnsupportedError for several."""
        values = self.array(position, what)
        if values.size != 1 or values.dtype.kind in "bc":
            self.refuse(f"its {what} is {values.dtype} {values.shape}; only one number is done")
        return float(str(values.reshape(-1)[0]))

    def integers_at(self, position: int, what: str) -> tuple[int, ...] | None:
        """The integers of an input that is known; None if it is left out."""
        constant = self.optional(position, what)
        return None if constant is None else as_integers(self.building.array(constant), what)

    def axes(self, position: int) -> tuple[int, ...] | None:
        """Axes: an attribute in old versions, this input in new ones."""
        given = self.integers("axes")
        return self.integers_at(position, "axes") if given is None else given

    # Results.

    def add(
        self,
        layer: Layer,
        *inputs: Value,
        part: str = "",
        shape: OpenShape | None = None,
        weights: Mapping[str, Constant | None] = _NO_WEIGHTS,
    ) -> Value:
        """Add a layer named after the node, or after a part of it; its result.

        `weights` are by role, None for one that the layer does not have. `shape` is as for
        `Building.add`.
        """
        node = self.node
        base = (node.name, *node.outputs[:1], f"{node.op}_{self.index}")
        wishes = [f"{wish}.{part}" for wish in base if wish] if part else base
        named = evolve(layer, name=self.building.names.take(*wishes))
        given = {role: weight for role, weight in weights.items() if weight is not None}
        return self.building.add(named, inputs, given, shape)

    def put(self, result: Value | Constant, output: int = 0) -> None:
        """Say what one of the node's outputs is."""
        if output < len(self.node.outputs) and self.node.outputs[output]:
            self.building.bind(self.node.outputs[output], result)

    def wants(self, output: int) -> bool:
        """Whether somebody reads an output."""
        outputs = self.node.outputs
        return output < len(outputs) and self.building.reads[outputs[output]] > 0

    def only(self, outputs: int) -> None:
        """Raise UnsupportedError if more than the first outputs are read."""
        for position in range(outputs, len(self.node.outputs)):
            if self.wants(position):
                self.refuse(f"its output {self.node.outputs[position]!r} is not done, and is read")

    def axis(self, number: int, rank: int, *, what: str = "axis") -> int:
        """An axis after the batch, from 1. Raises for the batch, and for none of `rank`."""
        if not -rank <= number < rank:
            raise InvalidArgumentError(f"its {what} {number} is not one of {rank} axes")
        if number % rank == 0:
            self.refuse(f"its {what} {number} is the batch, which no layer touches")
        return number % rank

    def refuse(self, why: str) -> NoReturn:
        """Raise UnsupportedError."""
        raise UnsupportedError(why)


def as_integers(array: Array, what: str) -> tuple[int, ...]:
    """The integers of a list. Raises for other numbers."""
    if array.ndim > 1 or array.dtype.kind not in "iu" or array.size > MAX_INTEGERS:
        raise InvalidArgumentError(
            f"the {what} is {array.dtype} {array.shape}, no list of integers"
        )
    return tuple(int(number) for number in array.reshape(-1))


def check_open(sizes: Sequence[int], what: str) -> Shape:
    """The sizes, if all are numbers. Raises UnsupportedError."""
    if BATCH in sizes or OPEN in sizes:
        which = "the batch" if BATCH in sizes else "a size that the file leaves open"
        raise UnsupportedError(
            f"the {what} depends on {which}; give the shapes of the inputs when you import the "
            "model, or export it with fixed ones"
        )
    return tuple(sizes)
