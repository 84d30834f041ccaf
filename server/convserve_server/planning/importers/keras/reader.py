"""From the models of a file to a network: every call in the order in which it can compute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush

from attrs import evolve, frozen
from convserve.errors import InvalidNetworkError, TooLargeError, UnsupportedError, error_at
from convserve.layers.fields import MAX_SPATIAL_RANK
from convserve.tensors import SYMBOLIC_BATCH, TensorSpec

from convserve_server.planning.importers.draft import Draft
from convserve_server.planning.importers.fields import MAX_SHOWN, FileFields, shown
from convserve_server.planning.importers.imported import UNKNOWN_SIZE, Imported
from convserve_server.planning.importers.keras.call import Call
from convserve_server.planning.importers.keras.document import (
    MODELS,
    Argument,
    Entry,
    Model,
    Ref,
    read_document,
    read_model,
)
from convserve_server.planning.importers.keras.inputs import (
    input_dtype,
    input_sizes,
    is_channels_last,
)
from convserve_server.planning.importers.keras.kinds import KINDS, OPERATIONS, Translate
from convserve_server.planning.importers.keras.values import Value, arrange, layout_order
from convserve_server.planning.limits import MAX_LAYERS

MAX_DEPTH = 16  # of models in models
MAX_CALLS = 2 * MAX_LAYERS  # and layers; those of a model that is called twice counted twice
STAND_IN = 512  # for an axis that the file leaves open: no layer that is written depends on it
_MAX_FIELDS = 256


def read_keras(text: bytes) -> Imported:
    """The network of a Keras model, channels first, its layers named as there.

    Raises InvalidNetworkError for a file that is no model, UnsupportedError for a layer or field
    that cannot be expressed, TooLargeError, and what the rules of the layers raise; each names the
    layer.
    """
    model = read_document(text)
    reader = _Reader(Draft(), model.old, last=is_channels_last(model.entries))
    outputs = reader.read(model, None, "", 0)
    ends = [arrange(reader.draft, end, reader.layout(end.rank)) for end in outputs]
    order = "(N, H, W, C)" if reader.last else "(N, C, H, W)"
    reader.draft.note(
        "inputs and outputs are channels first here, (N, C, spatial axes...); the Keras model has "
        f"{order}"
    )
    network = reader.draft.finish([end.name for end in ends])
    specs = tuple(spec for spec in reader.inputs if spec.name in network.inputs)
    return Imported(network, specs, notes=tuple(reader.draft.notes))


class _Reader:
    """Adds models to one draft."""

    def __init__(self, draft: Draft, old: bool, *, last: bool) -> None:
        self.draft = draft
        self.last = last
        self.inputs: list[TensorSpec] = []
        self._old = old
        self._calls = 0

    def layout(self, rank: int) -> tuple[int, ...]:
        """How inputs and outputs of the network are held."""
        return layout_order(rank, last=self.last)

    def read(
        self, model: Model, sources: Sequence[Value] | None, prefix: str, depth: int
    ) -> list[Value]:
        """Every call of a model. `sources` None: its inputs are the network's."""
        if depth > MAX_DEPTH:
            raise TooLargeError(f"models are nested more than {MAX_DEPTH} deep")
        self._spend(len(model.entries))
        known = {} if sources is None else _given(model, sources)
        entries = {entry.name: entry for entry in model.entries}
        for ref in _schedule(model, entries):
            if ref not in known:
                known[ref] = self._visit(entries[ref.layer], ref, known, prefix, depth)
        return [_known(known, ref, model.name) for ref in model.outputs]

    def _spend(self, count: int) -> None:
        self._calls += count
        if self._calls > MAX_CALLS:
            raise TooLargeError(f"more than {MAX_CALLS} layers and calls of them; split the model")

    def _visit(
        self, entry: Entry, ref: Ref, known: Mapping[Ref, Value], prefix: str, depth: int
    ) -> Value:
        self._spend(1)
        with error_at(f"layers[{shown(entry.name)}]"):
            if entry.class_name == "InputLayer":
                return self._add_input(entry)
            before = self.draft.layer_count
            value = self._translate(entry, ref, known, prefix, depth)
            if ref.call > 0 and self.draft.has_weights_from(before):
                raise UnsupportedError(
                    f"{entry.class_name[:MAX_SHOWN]} {shown(entry.name)} is called "
                    f"{len(entry.calls)} times with the same weights; a layer here has weights of "
                    "its own",
                    field="inbound_nodes",
                )
            return value

    def _translate(
        self, entry: Entry, ref: Ref, known: Mapping[Ref, Value], prefix: str, depth: int
    ) -> Value:
        arguments = entry.calls[ref.call]
        tensors = tuple(
            _known(known, item, entry.name) for item in arguments if isinstance(item, Ref)
        )
        name = f"{prefix}{entry.name}"
        if entry.class_name in MODELS:
            data = {"class_name": entry.class_name, "config": entry.config}
            inner = read_model(data, entry.name, old=self._old)
            return _single(self.read(inner, tensors, f"{name}/", depth + 1), entry)
        numbers = {
            position: item for position, item in enumerate(arguments) if not isinstance(item, Ref)
        }
        return _translate_layer(_unwrapped(entry), name, self.draft, tensors, numbers, self._old)

    def _add_input(self, entry: Entry) -> Value:
        fields = FileFields(f"InputLayer {shown(entry.name)}", entry.config)
        sizes = input_sizes(fields)
        order = self.layout(len(sizes) - 1)
        if sizes[order[0]] is None:
            raise UnsupportedError(
                f"{fields.where} leaves the number of channels open: the weights depend on it",
                field="batch_shape",
            )
        open_sizes = (sizes[axis] or STAND_IN for axis in order)
        name = self.draft.add_input(entry.name, tuple(open_sizes))
        batch = SYMBOLIC_BATCH if sizes[0] is None else sizes[0]
        shape = (batch, *(sizes[axis] or UNKNOWN_SIZE for axis in order))
        self.inputs.append(TensorSpec(name, input_dtype(fields), shape))
        return Value(name, self.draft.shape(name), order)


@frozen
class _Unwrapped:
    """A layer without the TimeDistributed around it, whose number is `lead`."""

    entry: Entry
    lead: int


def _unwrapped(entry: Entry) -> _Unwrapped:
    """TimeDistributed(layer) is the layer on one more axis, which its windows do not join."""
    lead = 0
    while entry.class_name == "TimeDistributed":
        inner = entry.config.get("layer")
        if (
            not isinstance(inner, dict)
            or not isinstance(inner.get("config"), dict)
            or lead > MAX_SPATIAL_RANK
        ):
            raise InvalidNetworkError(
                f"TimeDistributed {shown(entry.name)} has no layer", field="layer"
            )
        lead += 1
        entry = evolve(entry, class_name=str(inner.get("class_name")), config=inner["config"])
    return _Unwrapped(entry, lead)


def _translate_layer(
    unwrapped: _Unwrapped,
    name: str,
    draft: Draft,
    tensors: tuple[Value, ...],
    numbers: dict[int, float],
    old: bool,
) -> Value:
    entry = unwrapped.entry
    where = f"{entry.class_name[:MAX_SHOWN]} {shown(entry.name)}"
    translate = _translator(entry, where)
    if len(entry.config) > _MAX_FIELDS:
        raise InvalidNetworkError(
            f"{where} has {len(entry.config)} fields; the limit is {_MAX_FIELDS}", field="config"
        )
    call = Call(draft, name, FileFields(where, entry.config), tensors, numbers, unwrapped.lead, old)
    call.check_common()
    value = translate(call)
    call.fields.finish()
    return value


def _translator(entry: Entry, where: str) -> Translate:
    table = OPERATIONS if entry.module.startswith("keras.src.ops") else KINDS
    translate = table.get(entry.class_name)
    if translate is None:
        raise UnsupportedError(
            f"{where} is a layer that is not supported; supported: {', '.join(table)}, Sequential, "
            "Functional, TimeDistributed",
            field="class_name",
            metadata={"value": shown(entry.class_name)},
        )
    return translate


def _schedule(model: Model, entries: Mapping[str, Entry]) -> Iterator[Ref]:
    """Every call, after all that it reads; otherwise in the order of the file."""
    if len(entries) < len(model.entries):
        raise InvalidNetworkError(
            f"model {shown(model.name)} has {len(model.entries)} layers, but only {len(entries)} "
            "names; give each a name of its own",
            field="config.layers",
        )
    calls = {
        Ref(entry.name, number): [item for item in arguments if isinstance(item, Ref)]
        for entry in model.entries
        for number, arguments in enumerate(_calls(entry))
    }
    waiting = {ref: len(sources) for ref, sources in calls.items()}
    readers: dict[Ref, list[Ref]] = {}
    for ref, sources in calls.items():
        for source in sources:
            readers.setdefault(source, []).append(ref)
    position = {ref: number for number, ref in enumerate(calls)}
    ready = [(position[ref], ref) for ref, count in waiting.items() if not count]
    while ready:
        _, ref = heappop(ready)
        yield ref
        for reader in readers.get(ref, ()):
            waiting[reader] -= 1
            if not waiting[reader]:
                heappush(ready, (position[reader], reader))


def _calls(entry: Entry) -> tuple[tuple[Argument, ...], ...]:
    """An input is made once, of nothing."""
    return ((),) if entry.class_name == "InputLayer" else entry.calls


def _given(model: Model, sources: Sequence[Value]) -> dict[Ref, Value]:
    if len(model.inputs) != len(sources):
        raise InvalidNetworkError(
            f"model {shown(model.name)} is called with {len(sources)} tensors, but reads "
            f"{len(model.inputs)}",
            field="inbound_nodes",
        )
    return dict(zip(model.inputs, sources, strict=True))


def _known(known: Mapping[Ref, Value], ref: Ref, reader: str) -> Value:
    if ref not in known:
        raise InvalidNetworkError(
            f"{shown(reader)} reads call {ref.call} of layer {shown(ref.layer)}, which does not "
            "exist or waits for itself",
            field="inbound_nodes",
        )
    return known[ref]


def _single(values: list[Value], entry: Entry) -> Value:
    if len(values) != 1:
        raise UnsupportedError(
            f"model {shown(entry.name)} within the model has {len(values)} outputs; only one is "
            "supported",
            field="output_layers",
        )
    return values[0]
