"""The network as it grows, node by node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from attrs import define, evolve, field, frozen
from convserve.errors import ShapeError, TooLargeError
from convserve.layers import Layer
from convserve.tensors import Array, Shape

from convserve_server.planning.importers.imported import Values, Weight
from convserve_server.planning.importers.onnx.constants import (
    BATCH,
    OPEN,
    Constant,
    known,
    read_constant,
)
from convserve_server.planning.importers.onnx.messages import TensorMessage
from convserve_server.planning.importers.onnx.names import Names
from convserve_server.planning.layers import rule_of
from convserve_server.planning.layers.rule import Rule
from convserve_server.planning.limits import MAX_LAYERS

MAX_COMPUTED = 16 << 20  # elements of all constants that are computed
OpenShape: TypeAlias = tuple[int | None, ...]


@frozen
class Value:
    """A tensor that depends on the network's inputs: one of them, or a layer's result.

    `shape` is that of one sample, with None for sizes that the file leaves open.
    """

    name: str
    dtype: str
    shape: OpenShape

    @property
    def rank(self) -> int:
        """Its axes, the batch included."""
        return 1 + len(self.shape)

    @property
    def is_known(self) -> bool:
        """Whether every size is."""
        return None not in self.shape

    @property
    def sizes(self) -> Shape:
        """The shape of one sample. Raises ShapeError where the file leaves it open."""
        if not self.is_known:
            raise ShapeError(
                f"the shape (N, {', '.join('?' if n is None else str(n) for n in self.shape)}) of "
                f"{self.name!r} must be known here, and the file leaves it open; give the shapes "
                "of the inputs when you import it",
                metadata={"value": self.name},
            )
        return tuple(size for size in self.shape if size is not None)


@define(eq=False)
class Building:
    """What has been made of the nodes so far.

    `batch` is the one that the file is made for; None if it is open. `reads` counts who reads each
    of ONNX's tensors, `uses` who reads each of our layers' results.
    """

    file: memoryview
    opset: int
    batch: int | None
    reads: Counter[str]
    names: Names = field(factory=Names)
    tensors: dict[str, Value | Constant] = field(factory=dict)
    uses: Counter[str] = field(factory=Counter)
    layers: dict[str, Layer] = field(factory=dict)
    weights: dict[str, tuple[Weight, ...]] = field(factory=dict)
    notes: dict[str, None] = field(factory=dict)
    computed: int = 0

    def bind(self, name: str, tensor: Value | Constant) -> None:
        """Say what one of ONNX's tensors is."""
        self.tensors[name] = tensor
        if isinstance(tensor, Value):
            self.uses[tensor.name] += self.reads[name]

    def array(self, constant: Constant) -> Array:
        """A constant's values."""
        return constant.array(self.file)

    def compute(self, array: Array) -> Constant:
        """The constant of computed values. Raises TooLargeError for too many in all."""
        self._spend(array.size)
        return known(array)

    def store(self, message: TensorMessage) -> Constant:
        """The constant of a tensor in the file. Raises what `read_constant` raises."""
        constant = read_constant(self.file, message)
        if isinstance(constant.source, Values):
            self._spend(constant.element_count)
        return constant

    def _spend(self, elements: int) -> None:
        self.computed += elements
        if self.computed > MAX_COMPUTED:
            raise TooLargeError(
                f"more than {MAX_COMPUTED} elements of constants would have to be computed; fold "
                "constants before the export, and keep large ones as raw data",
                metadata={"limit": MAX_COMPUTED},
            )

    def shape_of(self, tensor: Value | Constant) -> tuple[int, ...]:
        """The sizes as nodes see them that compute with shapes."""
        if isinstance(tensor, Constant):
            return tensor.shape
        return (BATCH, *(OPEN if size is None else size for size in tensor.shape))

    def add(
        self,
        layer: Layer,
        inputs: Sequence[Value],
        constants: Mapping[str, Constant],
        shape: OpenShape | None,
    ) -> Value:
        """Add a layer with a free name and its weights; its result.

        `shape` is the result's where the inputs' are not known whole. Without it the result has the
        inputs' rank, and their shape if the layer keeps it. Raises TooLargeError for too many.
        """
        if len(self.layers) >= MAX_LAYERS:
            raise TooLargeError(
                f"more than {MAX_LAYERS} layers; split the network", metadata={"limit": MAX_LAYERS}
            )
        name = str(layer.name)
        self.layers[name] = evolve(layer, inputs=tuple(value.name for value in inputs))
        self.weights[name] = tuple(c.weight(f"{name}.{role}") for role, c in constants.items())
        dtypes = [value.dtype for value in inputs] + [c.dtype for c in constants.values()]
        return _result(layer, inputs, dtypes, constants, shape)

    def amend(self, value: Value, layer: Layer, role: str, constant: Constant) -> None:
        """Replace the layer that made `value`, which has one weight more now."""
        self.layers[value.name] = layer
        self.weights[value.name] += (constant.weight(f"{value.name}.{role}"),)

    def note(self, text: str) -> None:
        """Tell the user something, once."""
        self.notes[text] = None


def _result(
    layer: Layer,
    inputs: Sequence[Value],
    dtypes: Sequence[str],
    constants: Mapping[str, Constant],
    shape: OpenShape | None,
) -> Value:
    rule: Rule[Any] = rule_of(layer)
    name = str(layer.name)
    if not all(value.is_known for value in inputs):
        kept = inputs[0].shape if keeps_shape(rule) else (None,) * len(inputs[0].shape)
        return Value(name, rule.output_dtype(layer, dtypes), kept if shape is None else shape)
    shapes = tuple(value.sizes for value in inputs)
    resolved = rule.resolve(layer, shapes)
    wanted = dict(
        zip(rule.weight_names(resolved), rule.weight_shapes(resolved, shapes), strict=True)
    )
    for role, constant in constants.items():
        if constant.shape != wanted[role]:
            raise ShapeError(
                f"{role} has the shape {constant.shape}, but must have {wanted[role]} for an input "
                f"of (N, {', '.join(map(str, shapes[0]))})",
                metadata={"value": constant.shape, "want": wanted[role]},
            )
    return Value(name, rule.output_dtype(resolved, dtypes), rule.output_shape(resolved, shapes))


def keeps_shape(rule: Rule[Any]) -> bool:
    """Whether the result of such layers has the shape of their only input."""
    return rule.most_inputs == 1 and type(rule).output_shape is Rule.output_shape
