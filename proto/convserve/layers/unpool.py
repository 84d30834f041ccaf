"""Where maxima were, and values put back there."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import fields
from convserve.layers.fields import Ints, Layer, Padding
from convserve.layers.pool import WindowPool

SCOPES = ("plane", "sample")

_scope = fields.one_of(*SCOPES)


@frozen
class MaxPoolIndices(WindowPool):
    """The int64 index of each maximum of `MaxPool` with the same numbers; of equals, the first.

    -1 stands for a window that has padding only, as a dilated one may.
    An index counts the elements of the unpadded input in C order: those of the channel's plane
    (`scope` "plane", 0 to prod(L) - 1), or of the sample ("sample", 0 to C * prod(L) - 1).
    `column_major` counts the spatial axes in the opposite order, the first one fastest.
    """

    scope: str = field(default="plane", kw_only=True, validator=_scope)
    column_major: bool = field(
        default=False, kw_only=True, converter=fields.as_bool, validator=fields.boolean
    )


@frozen
class MaxUnpool(Layer):
    """Values put where `MaxPoolIndices` found them, zeros elsewhere; of several, the last stays.

    Reads values (N, C, *L) and their indices, of one shape; gives (N, C, *L') with, per axis,
    L' = (L - 1) * stride - low - high + kernel_size, or `output_size`. An index outside the
    result is an error of the run.
    """

    kernel_size: Ints = field(converter=fields.as_ints, validator=fields.positive_ints)
    stride: Ints | None = field(
        default=None, converter=fields.as_optional_ints, validator=fields.positive_ints
    )
    padding: Padding = field(
        default=((0, 0),), converter=fields.as_padding, validator=fields.numeric_padding
    )
    output_size: Ints | None = field(
        default=None, converter=fields.as_optional_ints, validator=fields.positive_ints
    )
    scope: str = field(default="plane", kw_only=True, validator=_scope)
