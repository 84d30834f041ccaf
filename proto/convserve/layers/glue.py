"""Layers that name axes: other orders, other shapes, parts, and reductions.

Axes are numbered from 1, the channels, for the batch is axis 0 and no layer touches it; negative
numbers count from the end.
"""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import axis_fields, fields
from convserve.layers.fields import Ints, Layer


@frozen
class Permute(Layer):
    """The axes after the batch in another order: (2, 3, 1) brings (N, C, H, W) to (N, H, W, C)."""

    order: Ints = field(converter=fields.as_ints, validator=axis_fields.order)


@frozen
class Reshape(Layer):
    """The same elements, in C order, as (N, *shape). One number may be -1: what is left."""

    shape: Ints = field(converter=fields.as_ints, validator=axis_fields.sample_shape)


@frozen
class Slice(Layer):
    """Every step-th index from `start` until before `stop` along one axis, as Python's slices.

    `start` and `stop` count from the end if negative, and are cut to the axis. `stop` None is the
    end. At least one element must be left.
    """

    axis: int = field(converter=fields.as_int, validator=axis_fields.axis)
    start: int = field(default=0, converter=fields.as_int, validator=fields.index)
    stop: int | None = field(
        default=None, converter=fields.as_optional_int, validator=fields.optional_index
    )
    step: int = field(default=1, converter=fields.as_int, validator=fields.positive)


@frozen
class Reduction(Layer):
    """What the reductions share: the axes that become one element."""

    axes: Ints = field(converter=fields.as_ints, validator=axis_fields.axes)
    keepdims: bool = field(default=True, converter=fields.as_bool, validator=fields.boolean)


@frozen
class ReduceMean(Reduction):
    """The mean over `axes`, which stay with size 1 if `keepdims`, else go."""


@frozen
class ReduceMax(Reduction):
    """The maximum over `axes`, which stay with size 1 if `keepdims`, else go."""


@frozen
class ReduceSum(Reduction):
    """The sum over `axes`, which stay with size 1 if `keepdims`, else go."""
