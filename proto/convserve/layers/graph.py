"""Convolution on a graph."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import fields
from convserve.layers.fields import Layer


@frozen
class GraphConv(Layer):
    """Spectral graph convolution: (N, M, F), M nodes of F features, to (N, M, out_features).

    y = sum over k of filters[k] @ x @ weight[k * F : (k + 1) * F], plus bias.
    Weights: `filters` (filters, M, M), which are not trained, `weight` (filters * F,
    out_features), `bias` (out_features).
    Defferrard et al. 2016, arXiv:1606.09375; Kipf and Welling 2017, arXiv:1609.02907.
    """

    out_features: int = field(converter=fields.as_int, validator=fields.positive)
    filters: int = field(default=1, converter=fields.as_int, validator=fields.positive)
    bias: bool = field(default=True, converter=fields.as_bool, validator=fields.boolean)
