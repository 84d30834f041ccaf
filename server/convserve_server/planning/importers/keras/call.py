"""One call of one Keras layer: what it reads, its configuration, and the draft that it adds to."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from convserve.errors import InvalidNetworkError, UnsupportedError
from convserve.layers import Layer
from convserve.layers.fields import MAX_SPATIAL_RANK, Ints

from convserve_server.planning.importers.draft import Draft
from convserve_server.planning.importers.fields import FileFields, shown
from convserve_server.planning.importers.keras.values import Value, arrange, layout_order

# What no result of an inference depends on.
_WITHOUT_EFFECT = ("_initializer", "_regularizer", "_constraint")
_DESCRIPTIVE = (
    "name", "trainable", "autocast", "batch_input_shape", "batch_shape", "input_shape", "input_dim",
    "input_length", "input_dtype",
)  # fmt: skip


@frozen
class Call:
    """A layer's call. `name` is Keras's; `lead` counts axes that TimeDistributed put before it.

    `old` says that the rules of Keras 2 hold. `numbers` are arguments that are no tensors, by
    their position.
    """

    draft: Draft
    name: str
    fields: FileFields
    inputs: tuple[Value, ...]
    numbers: dict[int, float]
    lead: int
    old: bool

    @property
    def input(self) -> Value:
        """The only tensor that the layer reads."""
        if len(self.inputs) != 1:
            raise InvalidNetworkError(
                f"{self.fields.where} reads {len(self.inputs)} tensors, but must read 1",
                field="inbound_nodes",
            )
        return self.inputs[0]

    def add(
        self, layer: Layer, *sources: Value, part: str = "", order: Ints | None = None
    ) -> Value:
        """One layer under the call's name, or the name of a part of it, and its result."""
        name = self.draft.add(
            f"{self.name}/{part}" if part else self.name, layer, *(each.name for each in sources)
        )
        sizes = self.draft.shape(name)
        return Value(name, sizes, sources[0].order if order is None else order)

    def arranged(self, order: Ints) -> Value:
        """The input, held in this order."""
        return arrange(self.draft, self.input, order)

    def axis(self, number: int) -> int:
        """An axis of the input that the layer names, of those that it sees, from 1."""
        axis = self.input.axis(number + self.lead if number > 0 else number, self.fields.where)
        if axis <= self.lead:
            raise self.fields.unsupported("axis", "an axis within a step of TimeDistributed")
        return axis

    def spatial(self, rank: int) -> Value:
        """The input with its channels first, as `data_format` says, for `rank` spatial axes."""
        last = (
            self.fields.word("data_format", ("channels_last", "channels_first"), "channels_last")
            == "channels_last"
        )
        axes = self.lead + rank
        if self.input.rank != axes + 1 or axes > MAX_SPATIAL_RANK:
            raise UnsupportedError(
                f"{self.fields.where} reads {self.input.rank} axes after the batch, of which "
                f"{self.input.rank - 1} are spatial; it needs {axes}, and at most "
                f"{MAX_SPATIAL_RANK} are supported",
                field="inbound_nodes",
            )
        return self.arranged(layout_order(self.input.rank, last=last, lead=self.lead))

    def per_axis(self, name: str, rank: int, default: int | None = None, low: int = 1) -> Ints:
        """A field with a number per spatial axis; 1 for those of TimeDistributed."""
        values = self.fields.integers(
            name, rank, None if default is None else (default,) * rank, low
        )
        return (1,) * self.lead + values

    def check_common(self) -> None:
        """Take what every layer has for read, and refuse other types than float32."""
        policy: Any = self.fields.get("dtype")
        while isinstance(policy, dict):
            config = policy.get("config")
            policy = config.get("name") if isinstance(config, dict) else "?"
        if policy not in (None, "float32"):
            raise UnsupportedError(
                f"{self.fields.where} has the dtype policy {shown(policy)}; only float32 is "
                "supported: save the model with it, and choose the type of the input here",
                field="dtype",
                metadata={"value": shown(policy)},
            )
        self.fields.ignore(*_DESCRIPTIVE)
        self.fields.ignore_endings(*_WITHOUT_EFFECT)
