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
from typing import Any, TypeVar

import attrs
from google.protobuf.message import Message

from convserve import plans
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
}


def to_message(value: Any, message: M) -> M:
    """Fill `message` from the attributes of `value`, and return it."""
    for field in message.DESCRIPTOR.fields:
        item = getattr(value, field.name, None)
        if item is None:
            continue
        if field.message_type is not None:
            _put_message(message, field, item)
        elif field.is_repeated:
            getattr(message, field.name).extend(item)
        else:
            setattr(message, field.name, _scalar(field, item))
    return message


def from_message(message: Message, cls: type[T]) -> T:
    """A `cls` from the fields of `message`. What was left out takes the class's default.

    Raises the errors of the class's own checks, with the field's path.
    """
    values: dict[str, Any] = {}
    required = {a.name for a in attrs.fields(cls) if a.init and a.default is attrs.NOTHING}  # type: ignore[arg-type]
    names = {a.name for a in attrs.fields(cls)}  # type: ignore[arg-type]
    for field in message.DESCRIPTOR.fields:
        if field.name in names and (_is_given(message, field) or field.name in required):
            with error_at(field.name):
                values[field.name] = _get(field, getattr(message, field.name))
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
    with error_at(kind):
        layer = from_message(getattr(message, kind), KINDS[kind])
    return attrs.evolve(layer, name=message.name or None, inputs=tuple(message.inputs) or None)


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


def _put_message(message: Message, field: Any, item: Any) -> None:
    target = getattr(message, field.name)
    convert = _CONVERTERS.get(field.message_type.name)
    if field.is_repeated:
        for value in item:
            if convert:
                target.append(convert[0](value))
            else:
                to_message(value, target.add())
    elif convert:
        target.CopyFrom(convert[0](item))
    else:
        target.SetInParent()
        to_message(item, target)


def _get(field: Any, value: Any) -> Any:
    if field.is_repeated:
        return tuple(_get_one(field, item) for item in value)
    return _get_one(field, value)


def _get_one(field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        return _enum_name(field.enum_type, value)
    if field.message_type is None:
        return value
    name = field.message_type.name
    if name in _CONVERTERS:
        return _CONVERTERS[name][1](value)
    return from_message(value, _CLASSES[name])


def _is_given(message: Message, field: Any) -> bool:
    value = getattr(message, field.name)
    if field.is_repeated:
        return len(value) > 0
    if field.enum_type is not None:
        return bool(value)  # zero is UNSPECIFIED in every enum
    return not field.has_presence or message.HasField(field.name)


def _enum_prefix(enum: Any) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper() + "_"


def _scalar(field: Any, value: Any) -> Any:
    enum = field.enum_type
    if enum is None:
        return value
    known = enum.values_by_name.get(_enum_prefix(enum) + str(value).upper())
    if known is None or known.number == 0:
        raise InvalidArgumentError(
            f"{value!r} is not one of {', '.join(_enum_names(enum))}",
            field=field.name,
            metadata={"value": value},
        )
    return known.number


def _enum_name(enum: Any, number: int) -> str:
    known = enum.values_by_number.get(number)
    if known is None or number == 0:
        raise InvalidArgumentError(f"{number} is not a known {enum.name}")
    return str(known.name).removeprefix(_enum_prefix(enum)).lower()


def _enum_names(enum: Any) -> list[str]:
    return [_enum_name(enum, value.number) for value in enum.values if value.number]
