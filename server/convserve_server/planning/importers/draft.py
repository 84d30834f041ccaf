"""A network while a file is read: layers with names of their own, and the shape of each result."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from attrs import evolve
from convserve.errors import ConvserveError, InvalidNetworkError, TooLargeError
from convserve.layers import Layer
from convserve.networks import Network
from convserve.tensors import MAX_DIMENSION, Shape

from convserve_server.planning.layers import rule_of
from convserve_server.planning.limits import MAX_INPUTS, MAX_LAYERS

MAX_NAME = 128
MAX_NOTE = 500
_FOREIGN = re.compile(r"[^A-Za-z0-9_./-]+")


class Draft:
    """Layers in the order in which they compute, each checked by its rules as it is added.

    Names are those of the file, with `_` for what is not A-Z a-z 0-9 _ . / - and a number behind
    one that is taken. Shapes are of one sample, channels first.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._layers: list[Layer] = []
        self._inputs: list[str] = []
        self._shapes: dict[str, Shape] = {}
        self._taken: Counter[str] = Counter()

    def add_input(self, name: str, shape: Shape) -> str:
        """A tensor that the network reads. Returns its name here."""
        own = self._name(name)
        self._inputs.append(own)
        self._shapes[own] = shape
        return own

    def add(self, name: str, layer: Layer, *sources: str) -> str:
        """One more layer, reading what `sources` name. Returns its name here.

        Raises what the layer's rules raise, with `name` in the message.
        """
        self._check_room(name, len(sources))
        own = self._name(name if name != "input" else "input_")
        rule = rule_of(layer)
        shapes = tuple(self._shapes[source] for source in sources)
        with_place = evolve(layer, name=own, inputs=sources)
        try:
            resolved = rule.resolve(with_place, shapes)
            output = rule.output_shape(resolved, shapes)
            _check_shape(output)
        except ConvserveError as error:
            error.message = f"layer {name[:MAX_NAME]!r}: {error.message}"
            raise
        self._layers.append(with_place)
        self._shapes[own] = output
        return own

    def shape(self, name: str) -> Shape:
        """The shape of one sample of a result, or of an input."""
        return self._shapes[name]

    @property
    def layer_count(self) -> int:
        """The number of layers so far."""
        return len(self._layers)

    def has_weights_from(self, start: int) -> bool:
        """Whether one of the layers from number `start` on has weights."""
        return any(rule_of(layer).weight_names(layer) for layer in self._layers[start:])

    def note(self, text: str) -> None:
        """Remember what the reader of the plan should know; once."""
        if text[:MAX_NOTE] not in self.notes:
            self.notes.append(text[:MAX_NOTE])

    def finish(self, outputs: Sequence[str] = ()) -> Network:
        """The network, with the results named in `outputs`, or those that nothing reads.

        Inputs that no layer reads are left out.
        """
        if not self._layers:
            raise InvalidNetworkError("the file has no layer that computes", field="layers")
        read = {source for layer in self._layers for source in layer.inputs or ()}
        inputs = [name for name in self._inputs if name in read]
        return Network(self._layers, inputs, tuple(dict.fromkeys(outputs)))

    def _name(self, name: str) -> str:
        base = own = _FOREIGN.sub("_", name)[: MAX_NAME - 8] or "layer"
        while own in self._shapes:
            self._taken[base] += 1
            own = f"{base}_{self._taken[base] + 1}"
        return own

    def _check_room(self, name: str, source_count: int) -> None:
        for count, limit, what in (
            (len(self._layers) + 1, MAX_LAYERS, "layers"),
            (source_count, MAX_INPUTS, "inputs of one layer"),
        ):
            if count > limit:
                raise TooLargeError(
                    f"layer {name[:MAX_NAME]!r}: {count} {what} are above the limit of {limit}; "
                    "split the network",
                    field="layers",
                    metadata={"value": count, "limit": limit},
                )


def _check_shape(shape: Shape) -> None:
    for axis, size in enumerate(shape, start=1):
        if size > MAX_DIMENSION:
            raise TooLargeError(
                f"axis {axis} of its result would have {size} elements; the limit is "
                f"{MAX_DIMENSION}",
                metadata={"axis": axis, "value": size, "limit": MAX_DIMENSION},
            )
