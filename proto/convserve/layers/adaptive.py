"""Pooling into so many parts, whatever the input's size."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import axis_fields, fields
from convserve.layers.fields import Ints, Layer

POOL_MODES = ("max", "avg")


@frozen
class AdaptiveAvgPool(Layer):
    """The mean over windows that divide the input into `output_size` parts per spatial axis.

    Part i of n goes from floor(i * L / n) to ceil((i + 1) * L / n), without the latter; parts
    overlap where n does not divide L. (N, C, *L) to (N, C, *output_size).
    """

    output_size: Ints = field(converter=fields.as_ints, validator=fields.positive_ints)


@frozen
class AdaptiveMaxPool(Layer):
    """The maximum over the windows of `AdaptiveAvgPool`."""

    output_size: Ints = field(converter=fields.as_ints, validator=fields.positive_ints)


@frozen
class PyramidPool(Layer):
    """Spatial pyramid pooling (He et al., arXiv:1406.4729): (N, C, *L) to (N, C * sum(n^rank)).

    For each n of `levels`, adaptive pooling into n parts per spatial axis; the levels' results one
    after the other, each flattened in C order of (channels, parts).
    """

    levels: Ints = field(converter=fields.as_ints, validator=axis_fields.counts)
    mode: str = field(default="max", validator=fields.one_of(*POOL_MODES))
