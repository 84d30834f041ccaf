"""Networks: a graph of layers, named and checked once."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen

from convserve.errors import InvalidLayerError, InvalidNetworkError, error_at
from convserve.layers import KINDS, Layer, kind_of
from convserve.layers.fields import NAME_PATTERN, as_names


def _as_layers(value: Iterable[Layer]) -> tuple[Layer, ...]:
    try:
        layers = iter(value)
    except TypeError:
        raise InvalidNetworkError(f"{value!r} is not a list of layers", field="layers") from None
    return tuple(layers)


def _as_name_tuple(value: str | Sequence[str]) -> tuple[str, ...]:
    return as_names(value) or ()


@frozen
class Network:
    """A directed acyclic graph of layers. A list without names is a chain.

    After construction every layer has a name and its inputs. An unnamed layer is `<kind><n>`,
    counted per kind from 1 over the unnamed ones; a layer without inputs reads the one before it in
    the list. `inputs` names the graph's inputs. `outputs` names the layers whose results are
    returned: by default those that nothing reads.

    Raises InvalidNetworkError for a name that is double, dangling or part of a cycle.
    """

    layers: tuple[Layer, ...] = field(converter=_as_layers)
    inputs: tuple[str, ...] = field(default=("input",), converter=_as_name_tuple)
    outputs: tuple[str, ...] = field(default=(), converter=_as_name_tuple)
    order: tuple[int, ...] = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        _check_layers(self.layers)
        _check_input_names(self.inputs)
        layers = _wire(_name(self.layers, self.inputs), self.inputs)
        _check_references(layers, self.inputs)
        assign = object.__setattr__  # frozen for others; this is its construction
        assign(self, "layers", layers)
        assign(self, "order", _execution_order(layers))
        assign(self, "outputs", self.outputs or _unread(layers))
        _check_outputs(self.outputs, layers)

    @classmethod
    def from_dict(cls, data: Any) -> Network:
        """A network from plain data, as JSON holds it.

        `{"layers": [{"kind": "conv", "out_channels": 8, "kernel_size": 3}, ...]}`, with the fields
        of the layer classes, and optional `inputs` and `outputs`; or the list of layers alone.
        """
        if isinstance(data, list):
            data = {"layers": data}
        if not isinstance(data, dict) or not isinstance(data.get("layers"), list):
            raise InvalidNetworkError(
                'a network is {"layers": [...]} or a list of layers', field="layers"
            )
        unknown = set(data) - {"layers", "inputs", "outputs"}
        if unknown:
            raise InvalidNetworkError(f"unknown fields: {', '.join(sorted(map(str, unknown)))}")
        options = {key: _name_list(data, key) for key in ("inputs", "outputs") if key in data}
        return cls([_layer_from_dict(i, item) for i, item in enumerate(data["layers"])], **options)


def _name_list(data: Mapping[str, Any], key: str) -> list[str]:
    names = data[key]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidNetworkError(f"{names!r} is not a list of names", field=key)
    return names


def _layer_from_dict(index: int, item: Any) -> Layer:
    with error_at(f"layers[{index}]"):
        kind = item.get("kind") if isinstance(item, dict) else item
        if not isinstance(item, dict) or not isinstance(kind, str) or kind not in KINDS:
            raise InvalidLayerError(
                f"{kind!r} is not a kind of layer; use one of {', '.join(KINDS)}", field="kind"
            )
        fields = {key: value for key, value in item.items() if key != "kind"}
        with error_at(kind):
            try:
                return KINDS[kind](**fields)
            except TypeError as error:  # an unknown or missing keyword; its text names it
                raise InvalidLayerError(str(error).split("__init__() ")[-1]) from None


def _check_layers(layers: tuple[Layer, ...]) -> None:
    if not layers:
        raise InvalidNetworkError("a network needs at least one layer", field="layers")
    for index, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise InvalidNetworkError(f"{layer!r} is not a layer", field=f"layers[{index}]")


def _check_input_names(names: tuple[Any, ...]) -> None:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name) or name in seen:
            raise InvalidNetworkError(
                f"{name!r} is not a name of its own; use A-Z a-z 0-9 _ . / - and no name twice",
                field=f"inputs[{index}]",
            )
        seen.add(name)


def _name(layers: tuple[Layer, ...], inputs: tuple[str, ...]) -> tuple[Layer, ...]:
    taken = {layer.name for layer in layers if layer.name} | set(inputs)
    counts: Counter[str] = Counter()
    named = []
    for layer in layers:
        if layer.name is None:
            kind = kind_of(layer)
            counts[kind] += 1
            while f"{kind}{counts[kind]}" in taken:
                counts[kind] += 1
            layer = evolve(layer, name=f"{kind}{counts[kind]}")
        named.append(layer)
    return tuple(named)


def _wire(layers: tuple[Layer, ...], inputs: tuple[str, ...]) -> tuple[Layer, ...]:
    """Give each layer without inputs the layer before it, and the first the network's input."""
    wired: list[Layer] = []
    for index, layer in enumerate(layers):
        if layer.inputs is None:
            if not wired and len(inputs) != 1:
                raise InvalidNetworkError(
                    f"the first layer must say which of the inputs {', '.join(inputs)} it reads",
                    field=f"layers[{index}].inputs",
                )
            layer = evolve(layer, inputs=str(wired[-1].name) if wired else inputs[0])
        wired.append(layer)
    return tuple(wired)


def _check_references(layers: tuple[Layer, ...], inputs: tuple[str, ...]) -> None:
    given = set(inputs)
    first: dict[str, int] = {}
    for index, layer in enumerate(layers):
        name = str(layer.name)
        if name in first or name in given:
            other = f"layers[{first[name]}]" if name in first else "a network input"
            raise InvalidNetworkError(
                f"the name {name!r} is already that of {other}", field=f"layers[{index}].name"
            )
        first[name] = index
    known = first.keys() | given
    read: set[str] = set()
    for index, layer in enumerate(layers):
        for position, source in enumerate(layer.inputs or ()):
            if source not in known:
                raise InvalidNetworkError(
                    f"there is no layer or input called {source!r}",
                    field=f"layers[{index}].inputs[{position}]",
                    metadata={"value": source},
                )
            read.add(source)
    for index, name in enumerate(inputs):
        if name not in read:
            raise InvalidNetworkError(
                f"no layer reads the input {name!r}", field=f"inputs[{index}]"
            )


def _execution_order(layers: tuple[Layer, ...]) -> tuple[int, ...]:
    """Kahn's algorithm, ready layers in list order, so that a chain stays as written."""
    position = {layer.name: index for index, layer in enumerate(layers)}
    readers: dict[int, list[int]] = {index: [] for index in range(len(layers))}
    waiting = [0] * len(layers)
    for index, layer in enumerate(layers):
        for source in layer.inputs or ():
            if source in position:  # and not an input of the network
                readers[position[source]].append(index)
                waiting[index] += 1
    ready = [index for index in range(len(layers)) if waiting[index] == 0]
    order: list[int] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for reader in readers[index]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heapq.heappush(ready, reader)
    if len(order) < len(layers):
        stuck = next(index for index in range(len(layers)) if waiting[index])
        names = ", ".join(str(layers[i].name) for i in range(len(layers)) if waiting[i])
        raise InvalidNetworkError(
            f"the layers {names[:500]} wait for each other: the graph has a cycle",
            field=f"layers[{stuck}].inputs",
        )
    return tuple(order)


def _unread(layers: tuple[Layer, ...]) -> tuple[str, ...]:
    read = {source for layer in layers for source in layer.inputs or ()}
    return tuple(str(layer.name) for layer in layers if layer.name not in read)


def _check_outputs(outputs: tuple[Any, ...], layers: tuple[Layer, ...]) -> None:
    left = {layer.name for layer in layers}
    for index, output in enumerate(outputs):
        if not isinstance(output, str) or output not in left:
            raise InvalidNetworkError(
                f"{output!r} is not a layer, or is named twice", field=f"outputs[{index}]"
            )
        left.remove(output)
