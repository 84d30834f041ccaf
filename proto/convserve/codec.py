"""Values to messages and back, by identical field names. There is no code per message.

A message's field is set from, or becomes, the attribute of the same name. Enums are their value's
name in lower case without the enum's prefix (`PADDING_MODE_SAME` is "same"). A field that the
sender left out takes the class's default. `Padding`, `Ratio`, `TensorSpec`, `Layer` and `Operation`
have a form of their own in Python; `_CONVERTERS` below is the list of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import cache, lru_cache, partial
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

import attrs
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from convserve import explanations, plans, runs, servers, tilings
from convserve.errors import InvalidArgumentError, InvalidLayerError, error_at
from convserve.layers import KINDS, Layer, kind_of
from convserve.layers.fields import Padding, settle
from convserve.networks import Network
from convserve.operations import OPERATIONS, Operation, operation_kind
from convserve.tensors import spec_from_message, spec_to_fields
from convserve.v1 import layer_pb2, operation_pb2, plan_pb2

# Descriptors are `Any`: protobuf's two implementations give them unrelated types.
M = TypeVar("M", bound=Message)
T = TypeVar("T")
Write: TypeAlias = Callable[[Any], Any]  # value -> what a message's constructor takes
Read: TypeAlias = Callable[[Any], Any]
IsGiven: TypeAlias = Callable[[Any, Any], bool]  # (message, field's value) -> whether it was sent
Writer: TypeAlias = tuple[str, bool, Write | None]  # name, whether empty values are sent, how
Reader: TypeAlias = tuple[str, IsGiven, Read]

# Messages that are plain attrs classes on the Python side.
_CLASSES: dict[str, type[Any]] = {
    "LayerPlan": plans.LayerPlan,
    "Plan": plans.Plan,
    "StepRecord": runs.StepRecord,
    "CallRecord": runs.CallRecord,
    "Device": servers.Device,
    "Figure": servers.Figure,
    "Count": plans.Count,
    "TimeEstimate": plans.TimeEstimate,
    "Quantization": plans.Quantization,
    "Kernel": plans.Kernel,
    "MemoryMoment": plans.MemoryMoment,
    "Fit": plans.Fit,
    "Limits": servers.Limits,
    "Library": servers.Library,
    "Model": servers.ModelInfo,
    "RunOptions": runs.RunOptions,
    "TilePlan": tilings.TilePlan,
    "TileAxis": tilings.TileAxis,
    "TileTrack": tilings.TileTrack,
    "Change": explanations.Change,
    "Rendering": explanations.Rendering,
    "FoundLayer": explanations.FoundLayer,
}


def to_message(value: Any, message: M) -> M:
    """Fill `message` from the attributes of `value`, and return it."""
    fields = to_fields(value, message.DESCRIPTOR)
    if fields:
        message.MergeFrom(type(message)(**fields))
    return message


def to_fields(value: Any, descriptor: Any) -> dict[str, Any]:
    """What the constructor of such a message takes, from the attributes of `value`.

    Parts of messages are such dicts too: one call then makes the whole message.
    """
    read, writers = _writers(descriptor, type(value))  # type: ignore[arg-type]
    return _write_fields(writers, read(value))


def _write_fields(writers: Iterable[Writer], items: Iterable[Any]) -> dict[str, Any]:
    fields = {}
    for (name, is_empty_sent, write), item in zip(writers, items, strict=True):
        if item or (is_empty_sent and item is not None and item != ()):
            fields[name] = write(item) if write else item
    return fields


def from_message(message: Message, cls: type[T], **values: Any) -> T:
    """A `cls` from the fields of `message` and `values`, which the message does not have.

    What was left out takes the class's default. Raises the errors of the class's own checks, with
    the field's path.
    """
    plain, others = _readers(message.DESCRIPTOR, cls)  # type: ignore[arg-type]
    for name in plain:
        values[name] = getattr(message, name)
    for name, is_given, read in others:
        item = getattr(message, name)
        if is_given(message, item):
            with error_at(name):
                values[name] = read(item)
    return cls(**values)


def layer_to_message(layer: Layer) -> layer_pb2.Layer:
    """A layer of any kind."""
    return layer_pb2.Layer(**_layer_to_fields(layer))


def layer_from_message(message: layer_pb2.Layer) -> Layer:
    """The layer of a message. Raises InvalidLayerError with the field below the kind's name."""
    kind = message.WhichOneof("kind")
    if kind is None:
        raise InvalidLayerError(f"no kind is set; use one of {', '.join(KINDS)}", field="kind")
    own: dict[str, Any] = {"name": message.name or None, "inputs": tuple(message.inputs) or None}
    try:
        with error_at(kind):
            return from_message(getattr(message, kind), KINDS[kind], **own)
    except InvalidLayerError:
        Layer(**own)  # its errors come first: they are of fields beside the kind's
        raise


def network_to_message(network: Network) -> layer_pb2.Network:
    """A network; its layers carry their names and inputs."""
    return layer_pb2.Network(
        layers=[layer_to_message(layer) for layer in network.layers],
        inputs=network.inputs,
        outputs=network.outputs,
    )


def network_from_message(message: layer_pb2.Network) -> Network:
    """The checked network of a message. Raises InvalidLayerError or InvalidNetworkError."""
    layers = []
    models: dict[tuple[str, bytes], Layer] = {}
    for index, layer in enumerate(message.layers):
        with error_at(f"layers[{index}]"):
            layers.append(_layer_like(models, layer))
    return Network(layers, tuple(message.inputs) or ("input",), tuple(message.outputs))


def _layer_like(models: dict[tuple[str, bytes], Layer], message: layer_pb2.Layer) -> Layer:
    """The layer of a message, after one of `models` if it differs in name and inputs alone.

    Most layers of a network do, and their other fields need not be checked again.
    """
    kind = message.WhichOneof("kind") or ""
    key = kind, getattr(message, kind).SerializeToString() if kind else b""
    if key not in models:
        models[key] = layer_from_message(message)
        return models[key]
    own = Layer(name=message.name or None, inputs=tuple(message.inputs) or None)
    return settle(models[key], name=own.name, inputs=own.inputs)


def operation_to_message(operation: Operation) -> operation_pb2.Operation:
    """An operation of any kind."""
    kind = operation_kind(operation)
    descriptor = _kind_descriptor(operation_pb2.Operation.DESCRIPTOR, kind)
    return operation_pb2.Operation(**{kind: to_fields(operation, descriptor)})


def operation_from_message(message: operation_pb2.Operation) -> Operation:
    """The operation of a message. Raises InvalidLayerError with the field below the kind's name."""
    kind = message.WhichOneof("kind")
    if kind is None:
        raise InvalidLayerError(f"no kind is set; use one of {', '.join(OPERATIONS)}", field="kind")
    with error_at(kind):
        return from_message(getattr(message, kind), OPERATIONS[kind])


def _layer_to_fields(layer: Layer) -> dict[str, Any]:
    kind = kind_of(layer)
    own = _kind_writer(kind)(layer)
    return {"name": layer.name or "", "inputs": layer.inputs or (), kind: own}


@cache  # one entry per kind
def _kind_writer(kind: str) -> Write:
    """What makes the part of a layer's message that is its kind's own.

    Most layers of a network differ in name and inputs alone, so that these parts are kept.
    """
    descriptor = _kind_descriptor(layer_pb2.Layer.DESCRIPTOR, kind)
    read, writers = _writers(descriptor, KINDS[kind])  # type: ignore[arg-type]
    if any(field.has_presence and field.type == field.TYPE_DOUBLE for field in descriptor.fields):
        return lambda layer: _write_fields(writers, read(layer))  # no key tells 0.0 from -0.0

    @lru_cache(maxsize=256)
    def write(items: tuple[Any, ...]) -> Message:
        return GetMessageClass(descriptor)(**_write_fields(writers, items))

    return lambda layer: write(read(layer))


def _padding_to_fields(value: Padding) -> dict[str, Any]:
    if isinstance(value, str):
        return {"mode": f"PADDING_MODE_{value.upper()}"}
    return {"low": [low for low, _ in value], "high": [high for _, high in value]}


def _padding_from_message(message: layer_pb2.Padding) -> Padding:
    if message.mode and not message.low and not message.high:
        return _enum_name(layer_pb2.PaddingMode.DESCRIPTOR, message.mode)
    if message.mode or len(message.low) != len(message.high):
        raise InvalidLayerError(
            f"give a mode, or as many numbers in low ({len(message.low)}) as in high "
            f"({len(message.high)})"
        )
    return tuple(zip(message.low, message.high, strict=True)) or ((0, 0),)


def _ratio_to_fields(value: Fraction | int) -> dict[str, Any]:
    return {"numerator": value.numerator, "denominator": value.denominator}


def _ratio_from_message(message: plan_pb2.Ratio) -> Fraction:
    return Fraction(message.numerator, message.denominator or 1)


@lru_cache(maxsize=1024)  # most layers see what the one before them sees
def _field_to_message(value: plans.ReceptiveField) -> plan_pb2.ReceptiveField:
    return plan_pb2.ReceptiveField(**to_fields(value, plan_pb2.ReceptiveField.DESCRIPTOR))


# Messages whose Python form is not an attrs class of the same fields: (to, from).
_CONVERTERS: dict[str, tuple[Write, Read]] = {
    "Padding": (_padding_to_fields, _padding_from_message),
    "Ratio": (_ratio_to_fields, _ratio_from_message),
    "TensorSpec": (spec_to_fields, spec_from_message),
    "ReceptiveField": (_field_to_message, partial(from_message, cls=plans.ReceptiveField)),
    "Layer": (_layer_to_fields, layer_from_message),
    "Network": (network_to_message, network_from_message),
    "Operation": (operation_to_message, operation_from_message),
}


@cache
def _writers(descriptor: Any, cls: type[Any]) -> tuple[Read, tuple[Writer, ...]]:
    """What reads the attributes that are fields too, all at once, and how each is written."""
    fields = [field for field in descriptor.fields if hasattr(cls, field.name)]
    writers = tuple((field.name, field.has_presence, _writer(field)) for field in fields)
    return _attribute_reader([field.name for field in fields]), writers


def _attribute_reader(names: Sequence[str]) -> Read:
    """What reads such attributes of a value into a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple(getattr(value, name) for name in names)


def _writer(field: Any) -> Write | None:
    """What makes of a value what the message's constructor takes; None: it does already."""
    if field.message_type is not None:
        write = _message_writer(field.message_type)
        return partial(_write_all, write) if field.is_repeated else write
    if field.enum_type is not None and not field.is_repeated:
        return partial(_enum_number, field)
    return None


def _message_writer(descriptor: Any) -> Write:
    if descriptor.name in _CONVERTERS:
        return _CONVERTERS[descriptor.name][0]
    return lambda value: to_fields(value, descriptor)


def _write_all(write: Write, items: Any) -> list[Any]:
    return list(map(write, items))


@cache
def _kind_descriptor(descriptor: Any, kind: str) -> Any:
    return descriptor.fields_by_name[kind].message_type


@cache
def _readers(descriptor: Any, cls: type[Any]) -> tuple[tuple[str, ...], tuple[Reader, ...]]:
    """The fields that the class has too: those that are taken as they are, and the others.

    Of the others the name, whether it was sent, and what reads it.
    """
    attributes = {attribute.name: attribute for attribute in attrs.fields(cls)}
    fields = [field for field in descriptor.fields if field.name in attributes]
    plain = tuple(field.name for field in fields if _is_plain(field))
    others = tuple(
        (field.name, _is_given(field, attributes[field.name]), _reader(field))
        for field in fields
        if field.name not in plain
    )
    return plain, others


def _is_plain(field: Any) -> bool:
    """Whether a field is a number, a text or a boolean that is always there."""
    is_value = field.message_type is None and field.enum_type is None
    return is_value and not field.is_repeated and not field.has_presence


def _is_given(field: Any, attribute: attrs.Attribute[Any]) -> IsGiven:
    name = field.name
    if attribute.init and attribute.default is attrs.NOTHING:
        return lambda message, item: True
    if field.is_repeated or field.enum_type is not None:  # zero is UNSPECIFIED in every enum
        return lambda message, item: bool(item)
    if field.has_presence:
        return lambda message, item: message.HasField(name)
    return lambda message, item: True


def _reader(field: Any) -> Read:
    if not field.is_repeated:
        return _value_reader(field)
    if field.message_type is None and field.enum_type is None:
        return tuple
    read = _value_reader(field)
    return lambda items: tuple(map(read, items))


def _value_reader(field: Any) -> Read:
    if field.enum_type is not None:
        return partial(_enum_name, field.enum_type)
    if field.message_type is None:
        return lambda item: item
    name = field.message_type.name
    if name in _CONVERTERS:
        return _CONVERTERS[name][1]
    return partial(from_message, cls=_CLASSES[name])


@cache
def _enum_prefix(enum: Any) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper() + "_"


def _enum_number(field: Any, value: Any) -> int:
    enum = field.enum_type
    known = None
    if str(value).islower():
        known = enum.values_by_name.get(_enum_prefix(enum) + str(value).upper())
    if known is None or known.number == 0:
        raise InvalidArgumentError(
            f"{value!r} is not one of {', '.join(_enum_names(enum))}",
            field=field.name,
            metadata={"value": value},
        )
    return int(known.number)


@cache  # of the known numbers only: an error is not kept
def _enum_name(enum: Any, number: int) -> str:
    known = enum.values_by_number.get(number)
    if known is None or number == 0:
        raise InvalidArgumentError(f"{number} is not a known {enum.name}")
    return str(known.name).removeprefix(_enum_prefix(enum)).lower()


def _enum_names(enum: Any) -> list[str]:
    return [_enum_name(enum, value.number) for value in enum.values if value.number]
