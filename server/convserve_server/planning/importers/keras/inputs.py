"""What a Keras model reads: its shapes, its types, and where its channels are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convserve.layers.fields import MAX_SPATIAL_RANK
from convserve.tensors import DTYPES

from convserve_server.planning.importers.fields import FileFields
from convserve_server.planning.importers.keras.document import Entry


def input_sizes(fields: FileFields) -> list[Any]:
    """The sizes, the batch first; None for one that is open."""
    key = "batch_shape" if "batch_shape" in fields else "batch_input_shape"
    sizes = fields.get(key)
    highest = MAX_SPATIAL_RANK + 2
    whole = (
        isinstance(sizes, list)
        and 2 <= len(sizes) <= highest
        and all(size is None or (type(size) is int and 0 < size < 1 << 31) for size in sizes)
    )
    if not whole:
        raise fields.wrong(key, f"2 to {highest} sizes, the batch first, null for an open one")
    fields.require("sparse", (False,), "sparse inputs")
    fields.require("ragged", (False,), "ragged inputs")
    return list(sizes)


def input_dtype(fields: FileFields) -> str:
    """The type of the values."""
    value = fields.get("dtype")
    dtype = value if isinstance(value, str) else "float32"
    if dtype not in DTYPES or not dtype.startswith(("float", "bfloat")):
        raise fields.unsupported("dtype", "an input of a floating type")
    return dtype


def is_channels_last(entries: Sequence[Entry]) -> bool:
    """The layout of the first layer that says one. Flatten's says nothing about its input."""
    stack: list[tuple[str, Any]] = [(e.class_name, e.config) for e in reversed(entries)]
    while stack:
        class_name, config = stack.pop()
        if not isinstance(config, dict):
            continue
        if config.get("data_format") and class_name != "Flatten":
            return bool(config["data_format"] != "channels_first")
        layers = config.get("layers")
        inner = [config.get("layer"), *(layers if isinstance(layers, list) else [])]
        stack += [
            (str(item.get("class_name")), item.get("config"))
            for item in reversed(inner)
            if isinstance(item, dict)
        ]
    return True
