"""Our own words: `cs.Conv(64, 7, stride=2, padding=3)`, for every kind of layer."""

from __future__ import annotations

from typing import Any

from attrs import NOTHING, fields
from convserve.errors import InvalidLayerError
from convserve.layers import KINDS, Layer

from convserve_server.planning.dialects.text import Symbol, parse_call

_BY_NAME = {cls.__name__: cls for cls in KINDS.values()}


def reads_native(text: str) -> bool:
    """Whether the text begins as one of ours does."""
    module, _, name = text.partition("(")[0].strip().rpartition(".")
    return module in ("cs", "convserve_client") and name in _BY_NAME


def read_native(text: str) -> Layer:
    """The layer that the text constructs. Raises InvalidLayerError."""
    call = parse_call(text)
    cls = _BY_NAME.get(call.short_name)
    if cls is None:
        known = ", ".join(_BY_NAME)
        raise InvalidLayerError(f"{call.name!r} is none of {known}")
    if any(isinstance(each, Symbol) for each in (*call.arguments, *call.keywords.values())):
        raise InvalidLayerError("its arguments are numbers, texts and tuples of them")
    try:
        return cls(*call.arguments, **call.keywords)
    except TypeError as error:  # a keyword that is unknown or lacks; its text names it
        raise InvalidLayerError(str(error).split("__init__() ")[-1]) from None


def write_native(layer: Layer) -> str:
    """The construction of the layer, without what has its default."""
    cls = type(layer)
    arguments = []
    for field in sorted(fields(cls), key=lambda each: each.kw_only):
        value = getattr(layer, field.name)
        if field.name == "inputs" or not field.init or value == field.default:
            continue
        is_needed = field.default is NOTHING
        arguments.append(shown_value(value) if is_needed else f"{field.name}={shown_value(value)}")
    return f"cs.{cls.__name__}({', '.join(arguments)})"


def shown_value(value: Any) -> str:
    """A field's value as people write it: one number where all axes have it."""
    if isinstance(value, tuple) and value and len({*value}) == 1:
        one = value[0]
        if isinstance(one, int):
            return str(one)
        if isinstance(one, tuple) and len({*one}) == 1 and isinstance(one[0], int):
            return str(one[0])
    return repr(value)
