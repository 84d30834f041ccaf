"""Values to messages and back, by identical field names. There is no code per message.

A message's field is set from, or becomes, the attribute of the same name. Enums are their value's
name in lower case without the enum's prefix (`PADDING_MODE_SAME` is "same"). A field that the
sender left out takes the class's default. `Padding`, `Ratio`, `TensorSpec`, `Layer` and `Operation`
have a form of their own in Python; `_CONVERTERS` below is the list of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from functools import cache, partial
from typing import Any, TypeAlias, TypeVar

import attrs
from google.protobuf.message import Message

from convserve import explanations, plans
from convserve.errors import InvalidArgumentError, InvalidLayerError, error_at
from convserve.layers import KINDS, Layer, kind_of
from convserve.layers.fields import Padding
from convserve.networks import Network
from convserve.operations import OPERATIONS, Operation, operation_kind
from convserve.tensors import spec_from_message, spec_to_message
from convserve.v1 import layer_pb2, operation_pb2, plan_pb2

# Descriptors are `Any`: protobuf's two implementations give them unrelated types.
M = TypeVar("M", bound=Message)
T = TypeVar("T")
Write: TypeAlias = Callable[[Any, Any], object]  # (message, value) -> the message has it
Read: TypeAlias = Callable[[Any], Any]
IsGiven: TypeAlias = Callable[[Any, Any], bool]  # (message, field's value) -> whether it was sent
Reader: TypeAlias = tuple[str, IsGiven, Read]

# Messages that are plain attrs classes on the Python side.
_CLASSES: dict[str, type[Any]] = {
    "ReceptiveField": plans.ReceptiveField,
    "LayerPlan": plans.LayerPlan,
    "Plan": plans.Plan,
    "StepRecord": plans.StepRecord,
    "CallRecord": plans.CallRecord,
    "Device": plans.Device,
    "Figure": plans.Figure,
    "Count": plans.Count,
    "TimeEstimate": plans.TimeEstimate,
    "Quantization": plans.Quantization,
    "Kernel": plans.Kernel,
    "MemoryMoment": plans.MemoryMoment,
    "Fit": plans.Fit,
    "Limits": plans.Limits,
    "Model": plans.ModelInfo,
    "RunOptions": plans.RunOptions,
    "Change": explanations.Change,
    "Rendering": explanations.Rendering,
    "FoundLayer": explanations.FoundLayer,
}


def to_message(value: Any, message: M) -> M:
    """Fill `message` from the attributes of `value`, and return it."""
    for name, is_empty_sent, write in _writers(message.DESCRIPTOR):
        item = getattr(value, name, None)
        if item or (is_empty_sent and item is not None and item != ()):
            write(message, item)
    return message


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
    message = layer_pb2.Layer(name=layer.name or "", inputs=layer.inputs or ())
    kind = getattr(message, kind_of(layer))
    kind.SetInParent()  # a kind without fields must still be chosen
    to_message(layer, kind)
    return message


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
    for index, layer in enumerate(message.layers):
        with error_at(f"layers[{index}]"):
            layers.append(layer_from_message(layer))
    return Network(layers, tuple(message.inputs) or ("input",), tuple(message.outputs))


def operation_to_message(operation: Operation) -> operation_pb2.Operation:
    """An operation of any kind."""
    message = operation_pb2.Operation()
    kind = getattr(message, operation_kind(operation))
    kind.SetInParent()
    to_message(operation, kind)
    return message


def operation_from_message(message: operation_pb2.Operation) -> Operation:
    """The operation of a message. Raises InvalidLayerError with the field below the kind's name."""
    kind = message.WhichOneof("kind")
    if kind is None:
        raise InvalidLayerError(f"no kind is set; use one of {', '.join(OPERATIONS)}", field="kind")
    with error_at(kind):
        return from_message(getattr(message, kind), OPERATIONS[kind])


def _padding_to_message(value: Padding) -> layer_pb2.Padding:
    if isinstance(value, str):
        return layer_pb2.Padding(mode=f"PADDING_MODE_{value.upper()}")
    return layer_pb2.Padding(low=[low for low, _ in value], high=[high for _, high in value])


def _padding_from_message(message: layer_pb2.Padding) -> Padding:
    if message.mode and not message.low and not message.high:
        return _enum_name(layer_pb2.PaddingMode.DESCRIPTOR, message.mode)
    if message.mode or len(message.low) != len(message.high):
        raise InvalidLayerError(
            f"give a mode, or as many numbers in low ({len(message.low)}) as in high "
            f"({len(message.high)})"
        )
    return tuple(zip(message.low, message.high, strict=True)) or ((0, 0),)


def _ratio_to_message(value: Fraction | int) -> plan_pb2.Ratio:
    return plan_pb2.Ratio(numerator=value.numerator, denominator=value.denominator)


def _ratio_from_message(message: plan_pb2.Ratio) -> Fraction:
    return Fraction(message.numerator, message.denominator or 1)


# Messages whose Python form is not an attrs class of the same fields: (to, from).
_CONVERTERS: dict[str, tuple[Callable[[Any], Message], Callable[[Any], Any]]] = {
    "Padding": (_padding_to_message, _padding_from_message),
    "Ratio": (_ratio_to_message, _ratio_from_message),
    "TensorSpec": (spec_to_message, spec_from_message),
    "Layer": (layer_to_message, layer_from_message),
    "Network": (network_to_message, network_from_message),
    "Operation": (operation_to_message, operation_from_message),
}


@cache
def _writers(descriptor: Any) -> tuple[tuple[str, bool, Write], ...]:
    """For each field its name, whether an empty value is sent too, and what sets it.

    Read off the descriptor once.
    """
    return tuple((field.name, field.has_presence, _writer(field)) for field in descriptor.fields)


def _writer(field: Any) -> Write:
    name = field.name
    if field.message_type is not None:
        return _message_writer(field)
    if field.is_repeated:
        return lambda message, items: getattr(message, name).extend(items)
    if field.enum_type is not None:
        return lambda message, item: setattr(message, name, _enum_number(field, item))
    return lambda message, item: setattr(message, name, item)


def _message_writer(field: Any) -> Write:
    name, (convert, _) = field.name, _CONVERTERS.get(field.message_type.name, (None, None))

    def write_all(message: Message, items: Any) -> None:
        target = getattr(message, name)
        if convert:
            target.extend(map(convert, items))
        else:
            for each in items:
                to_message(each, target.add())

    def write(message: Message, item: Any) -> None:
        target = getattr(message, name)
        if convert:
            target.CopyFrom(convert(item))
        else:
            target.SetInParent()
            to_message(item, target)

    return write_all if field.is_repeated else write


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
    known = enum.values_by_name.get(_enum_prefix(enum) + str(value).upper())
    if known is None or known.number == 0:
        raise InvalidArgumentError(
            f"{value!r} is not one of {', '.join(_enum_names(enum))}",
            field=field.name,
            metadata={"value": value},
        )
    return int(known.number)


def _enum_name(enum: Any, number: int) -> str:
    known = enum.values_by_number.get(number)
    if known is None or number == 0:
        raise InvalidArgumentError(f"{number} is not a known {enum.name}")
    return str(known.name).removeprefix(_enum_prefix(enum)).lower()


def _enum_names(enum: Any) -> list[str]:
    return [_enum_name(enum, value.number) for value in enum.values if value.number]
