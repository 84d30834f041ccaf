"""Layers on features: fully connected, normalisation, flattening."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import fields
from convserve.layers.fields import Layer


@frozen
class Dense(Layer):
    """Fully connected over the last axis: (N, F) to (N, out_features), (N, ..., F) likewise.

    Weights: `weight` (out_features, F), `bias` (out_features).
    """

    out_features: int = field(converter=fields.as_int, validator=fields.positive)
    bias: bool = field(default=True, converter=fields.as_bool, validator=fields.boolean)


@frozen
class BatchNorm(Layer):
    """(x - running_mean) / sqrt(running_var + eps) * weight + bias, per channel.

    Weights: `running_mean`, `running_var`, and unless left out `weight`, `bias`, each (C).
    """

    eps: float = field(default=1e-5, converter=fields.as_float, validator=fields.positive_finite)
    weight: bool = field(
        default=True, kw_only=True, converter=fields.as_bool, validator=fields.boolean
    )
    bias: bool = field(
        default=True, kw_only=True, converter=fields.as_bool, validator=fields.boolean
    )


@frozen
class Flatten(Layer):
    """(N, C, *L) to (N, C * prod(L)), in C order of (channels, spatial axes...)."""
