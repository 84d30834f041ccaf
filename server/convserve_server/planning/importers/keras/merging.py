"""Keras's layers of several tensors, and the arithmetic that its tensors' operators record."""

from __future__ import annotations

from convserve.errors import InvalidNetworkError, UnsupportedError
from convserve.layers import Add, Concat, Div, Layer, Mul, Rescale, Sub

from convserve_server.planning.importers.keras.call import Call
from convserve_server.planning.importers.keras.values import Value, arrange


def merge(call: Call, kind: type[Layer]) -> Value:
    """Add, Multiply, Subtract: elementwise, axes of one element repeated."""
    if len(call.inputs) == 1:
        return call.input
    return call.add(kind(), *_alike(call))


def average(call: Call) -> Value:
    """Average."""
    if len(call.inputs) == 1:
        return call.input
    total = call.add(Add(), *_alike(call), part="sum")
    return call.add(Rescale(1 / len(call.inputs)), total)


def concatenate(call: Call) -> Value:
    """Concatenate along one axis."""
    values = _alike(call)
    axis = call.fields.get("axis")
    if axis is not None and type(axis) is not int:
        raise call.fields.wrong("axis", "an axis")
    place = values[0].place(values[0].axis(-1 if axis is None else axis, call.fields.where))
    return values[0] if len(values) == 1 else call.add(Concat(place), *values)


def add_scaled(call: Call) -> Value:
    """CustomScaleLayer, of Keras's InceptionResNetV2: inputs[0] + inputs[1] * scale."""
    if len(call.inputs) != 2:
        raise InvalidNetworkError(
            f"{call.fields.where} reads {len(call.inputs)} tensors, but must read 2",
            field="inbound_nodes",
        )
    first, second = _alike(call)
    scaled = call.add(Rescale(call.fields.real("scale")), second, part="scale")
    return call.add(Add(), first, scaled)


def compute(call: Call, operator: str) -> Value:
    """`+ - * /` of two tensors, or of a tensor and a number on either side."""
    kinds = {"add": Add, "subtract": Sub, "multiply": Mul, "divide": Div}
    if not call.numbers:
        return merge(call, kinds[operator])
    ((position, number),) = call.numbers.items()
    number_first = position == 0
    if operator == "add":
        layer = Rescale(1.0, number)
    elif operator == "multiply":
        layer = Rescale(number)
    elif operator == "subtract":
        layer = Rescale(-1.0, number) if number_first else Rescale(1.0, -number)
    elif not number_first and number:
        layer = Rescale(1 / number)
    else:
        raise UnsupportedError(f"{call.fields.where} divides a number by a tensor, or by 0")
    return call.add(layer, call.input)


def _alike(call: Call) -> tuple[Value, ...]:
    """The inputs, held in the order of the first."""
    if not call.inputs or len({value.rank for value in call.inputs}) > 1:
        raise UnsupportedError(
            f"{call.fields.where} joins tensors of the ranks "
            f"{', '.join(str(value.rank + 1) for value in call.inputs)}: only equal ones are "
            "supported",
            field="inbound_nodes",
        )
    order = call.inputs[0].order
    return tuple(arrange(call.draft, value, order) for value in call.inputs)
