"""Elementwise activations. Each keeps its input's shape."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import fields
from convserve.layers.fields import Layer


@frozen
class ReLU(Layer):
    """max(x, 0)."""


@frozen
class LeakyReLU(Layer):
    """x where x >= 0, else negative_slope * x."""

    negative_slope: float = field(default=0.01, converter=fields.as_float, validator=fields.finite)


@frozen
class ReLU6(Layer):
    """min(max(x, 0), 6)."""


@frozen
class GELU(Layer):
    """x * (1 + erf(x / sqrt(2))) / 2: the exact form."""


@frozen
class SiLU(Layer):
    """x * sigmoid(x)."""


@frozen
class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""


@frozen
class Tanh(Layer):
    """Hyperbolic tangent."""


@frozen
class ELU(Layer):
    """x where x > 0, else alpha * (exp(x) - 1)."""

    alpha: float = field(default=1.0, converter=fields.as_float, validator=fields.finite)


@frozen
class Softplus(Layer):
    """log(1 + exp(beta * x)) / beta."""

    beta: float = field(default=1.0, converter=fields.as_float, validator=fields.positive_finite)


@frozen
class Softmax(Layer):
    """exp(x) / sum(exp(x)) over the channels (axis 1)."""
