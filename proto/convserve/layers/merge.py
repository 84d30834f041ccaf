"""Layers that join several inputs. Elementwise ones repeat axes of size 1, as NumPy does."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import axis_fields, fields
from convserve.layers.fields import Layer


@frozen
class Add(Layer):
    """The elementwise sum of two or more inputs."""


@frozen
class Mul(Layer):
    """The elementwise product of two or more inputs."""


@frozen
class Sub(Layer):
    """The first input minus the second, elementwise."""


@frozen
class Div(Layer):
    """The first input over the second, elementwise. Not of integers: cast them."""


@frozen
class Concat(Layer):
    """Two or more inputs side by side along `axis`: 1 is the channels, -1 the last axis."""

    axis: int = field(default=1, converter=fields.as_int, validator=axis_fields.axis)
