"""Elementwise functions that are no activations by name: with weights or bounds, or plain maths."""

from __future__ import annotations

from attrs import Attribute, field, frozen

from convserve.errors import InvalidLayerError
from convserve.layers import fields
from convserve.layers.fields import Layer


@frozen
class PReLU(Layer):
    """x where x >= 0, else weight * x, per channel.

    Weights: `weight` (C).
    """


def _above_low(layer: Clip, attribute: Attribute[float | None], value: float | None) -> None:
    fields.optional_finite(layer, attribute, value)
    if value is not None and layer.low is not None and value < layer.low:
        raise InvalidLayerError(f"{value} is not at least low, {layer.low}", field=attribute.name)


@frozen
class Clip(Layer):
    """min(max(x, low), high). None leaves that side open."""

    low: float | None = field(
        default=None, converter=fields.as_optional_float, validator=fields.optional_finite
    )
    high: float | None = field(
        default=None, converter=fields.as_optional_float, validator=_above_low
    )


@frozen
class Exp(Layer):
    """e^x."""


@frozen
class Sqrt(Layer):
    """The square root; not a number below zero."""


@frozen
class Power(Layer):
    """x to the power of `exponent`; not a number for a fraction's power of a negative x."""

    exponent: float = field(converter=fields.as_float, validator=fields.finite)


@frozen
class Abs(Layer):
    """The absolute value."""


@frozen
class Log(Layer):
    """The natural logarithm; not a number below zero."""


@frozen
class Erf(Layer):
    """The error function."""


@frozen
class Rescale(Layer):
    """x * factor + offset, the same two numbers for every element."""

    factor: float = field(default=1.0, converter=fields.as_float, validator=fields.finite)
    offset: float = field(default=0.0, converter=fields.as_float, validator=fields.finite)
