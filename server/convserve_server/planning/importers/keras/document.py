"""What `model.to_json()` writes, as models of layers that are called: Keras 2 and 3 in one form.

Keras 3 says for each call which tensors it read as `{"class_name": "__keras_tensor__", "config":
{"keras_history": [layer, call, tensor]}}` among the arguments; Keras 2 as `[layer, call, tensor,
arguments]`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

from attrs import frozen
from convserve.errors import InvalidNetworkError, TooLargeError, UnsupportedError

from convserve_server.planning.importers.fields import shown

MAX_VALUES = 1 << 20  # NASNetLarge has 10 % of that
MODELS = ("Functional", "Model", "Sequential")


@frozen
class Ref:
    """A tensor: what the given call of a layer made."""

    layer: str
    call: int = 0


Argument: TypeAlias = Ref | float


@frozen
class Entry:
    """One layer of a model, and what each of its calls reads."""

    name: str
    class_name: str
    module: str
    config: dict[str, Any]
    calls: tuple[tuple[Argument, ...], ...]


@frozen
class Model:
    """A graph of layers. `old` says that the rules of Keras 2 hold where they differ."""

    name: str
    entries: tuple[Entry, ...]
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    old: bool


def read_document(text: bytes) -> Model:
    """The model of a file. Raises InvalidNetworkError, UnsupportedError, TooLargeError."""
    data = _load(text)
    if not isinstance(data, dict) or data.get("class_name") not in MODELS:
        raise InvalidNetworkError(
            f"this is no Keras model: its class_name is not one of {', '.join(MODELS)}; write it "
            "by model.to_json()",
            field="class_name",
        )
    return read_model(data, str(data["class_name"]), old="keras_version" in data)


def read_model(data: dict[str, Any], name: str, *, old: bool) -> Model:
    """A model, also one that is a layer of another: `data` has its class_name and config."""
    config = data.get("config")
    if isinstance(config, list):  # a Sequential before Keras 2.2.3
        config = {"layers": config}
    if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
        raise _malformed("config.layers", config, "a list of layers")
    if data.get("class_name") == "Sequential":
        return _read_chain(config, str(config.get("name", name)), old=old)
    entries = tuple(_read_entry(item) for item in config["layers"])
    return Model(
        name=str(config.get("name", name)),
        entries=entries,
        inputs=tuple(_boundary(config, "input_layers")),
        outputs=tuple(_boundary(config, "output_layers")),
        old=old,
    )


def _load(text: bytes) -> Any:
    count = sum(map(text.count, (b",", b"[", b"{")))
    if count > MAX_VALUES:
        raise TooLargeError(
            f"{count} values of JSON are above the limit of {MAX_VALUES}; split the model",
            metadata={"value": count, "limit": MAX_VALUES},
        )
    try:
        return json.loads(text)
    except RecursionError:
        raise InvalidNetworkError("the JSON is nested too deeply for a model") from None
    except ValueError as error:  # of the syntax, of UTF-8, or of a number of thousands of digits
        raise InvalidNetworkError(f"this is not JSON: {error}"[:300]) from None


def _read_entry(item: Any) -> Entry:
    if not isinstance(item, dict) or not isinstance(item.get("class_name"), str):
        raise _malformed("layers", item, "a layer with a class_name")
    config = item.get("config")
    if isinstance(config, list):
        config = {"layers": config}
    if not isinstance(config, dict):
        raise _malformed("config", config, "a layer's configuration")
    name = item.get("name", config.get("name"))
    nodes = item.get("inbound_nodes", [])
    if not isinstance(name, str) or not isinstance(nodes, list):
        raise _malformed("name", item, "a layer with a name and a list of inbound_nodes")
    return Entry(
        name=name,
        class_name=item["class_name"],
        module=str(item.get("module", "")),
        config=config,
        calls=tuple(tuple(_read_call(node, name)) for node in nodes),
    )


def _read_chain(config: dict[str, Any], name: str, *, old: bool) -> Model:
    """A Sequential: each layer reads the one before it; the first may say the input's shape."""
    items = [_named(item, number) for number, item in enumerate(config["layers"], start=1)]
    entries = [_read_entry({**item, "inbound_nodes": []}) for item in items]
    if not entries:
        raise InvalidNetworkError(f"model {shown(name)} has no layers", field="config.layers")
    if entries[0].class_name != "InputLayer":
        shape = _input_shape(entries[0], config)
        start = {"batch_shape": shape, "name": f"{entries[0].name}_input"}
        entries.insert(0, Entry(start["name"], "InputLayer", "", start, ()))
    wired = [entries[0]]
    for entry in entries[1:]:
        calls = ((Ref(wired[-1].name),),)
        wired.append(Entry(entry.name, entry.class_name, entry.module, entry.config, calls))
    return Model(name, tuple(wired), (Ref(wired[0].name),), (Ref(wired[-1].name),), old)


def _named(item: Any, number: int) -> dict[str, Any]:
    """Layers of the oldest Sequentials may lack a name of their own."""
    if not isinstance(item, dict):
        raise _malformed("layers", item, "a layer with a class_name")
    config = item.get("config")
    if "name" in item or (isinstance(config, dict) and "name" in config):
        return item
    return {**item, "name": f"{item.get('class_name')}_{number}"}


def _input_shape(first: Entry, config: dict[str, Any]) -> Any:
    for place, key in (
        (first.config, "batch_input_shape"),
        (first.config, "batch_shape"),
        (config, "build_input_shape"),
    ):
        if place.get(key) is not None:
            return place[key]
    raise InvalidNetworkError(
        f"the Sequential does not say what it reads: its first layer, {shown(first.name)}, has no "
        "input shape; begin it with keras.Input(shape)",
        field="config.layers",
    )


def _read_call(node: Any, name: str) -> Iterator[Argument]:
    """What one call reads, in order. Arguments by name may only be those without effect."""
    if isinstance(node, dict):
        _check_keywords(node.get("kwargs"), name)
        yield from _arguments(node.get("args", []), name)
        return
    items = _as_list(node, "inbound_nodes")
    for item in [items] if items and isinstance(items[0], str) else items:
        yield _old_ref(item)
        _check_keywords(item[3] if len(item) > 3 else None, name)


def _check_keywords(keywords: Any, name: str) -> None:
    for key, value in keywords.items() if isinstance(keywords, dict) else ():
        if value is None or key == "mask" or (key == "training" and not value):
            continue
        raise UnsupportedError(
            f"layer {shown(name)} is called with {shown(key)} = {shown(value)}: not supported",
            field=f"layers[{shown(name)}].inbound_nodes",
            metadata={"value": shown(value)},
        )


def _arguments(items: Any, name: str) -> Iterator[Argument]:
    for item in _as_list(items, "inbound_nodes"):
        if isinstance(item, list):
            yield from (_new_ref(each, name) for each in item)
        else:
            yield _new_ref(item, name)


def _new_ref(item: Any, name: str) -> Argument:
    if isinstance(item, int | float) and not isinstance(item, bool):
        return item
    config = item.get("config") if isinstance(item, dict) else None
    history = config.get("keras_history") if isinstance(config, dict) else None
    if not isinstance(history, list):
        raise UnsupportedError(
            f"layer {shown(name)} reads {shown(item)}: only tensors and numbers are supported",
            field=f"layers[{shown(name)}].inbound_nodes",
        )
    return _old_ref(history)


def _old_ref(item: Any) -> Ref:
    """`[layer, call, tensor, ...]`."""
    match item:
        case [str(layer), int(call), 0, *_]:
            return Ref(layer, call)
    raise _malformed("inbound_nodes", item, "[layer, call, 0], the first tensor of a call")


def _boundary(config: dict[str, Any], key: str) -> Iterator[Ref]:
    """The inputs or outputs: one reference, a list of them, or a dict."""
    items = config.get(key)
    if isinstance(items, dict):
        items = list(items.values())
    if isinstance(items, list) and items and isinstance(items[0], str):
        items = [items]
    return (_old_ref(item) for item in _as_list(items, key))


def _as_list(items: Any, key: str) -> list[Any]:
    if not isinstance(items, list):
        raise _malformed(key, items, "a list")
    return items


def _malformed(field: str, value: Any, want: str) -> InvalidNetworkError:
    return InvalidNetworkError(f"{shown(value)} is not {want}", field=field)
