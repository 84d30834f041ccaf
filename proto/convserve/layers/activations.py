"""Elementwise activations. Each keeps its input's shape."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import axis_fields, fields
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
    """exp(x) / sum(exp(x)) along `axis`: 1 is the channels, -1 the last axis."""

    axis: int = field(default=1, converter=fields.as_int, validator=axis_fields.axis)


@frozen
class HardSigmoid(Layer):
    """min(max(alpha * x + beta, 0), 1)."""

    alpha: float = field(default=1 / 6, converter=fields.as_float, validator=fields.finite)
    beta: float = field(default=0.5, converter=fields.as_float, validator=fields.finite)


@frozen
class HardSwish(Layer):
    """x * min(max(x / 6 + 0.5, 0), 1)."""


@frozen
class Mish(Layer):
    """x * tanh(log(1 + exp(x)))."""
