"""Pooling over windows."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import fields
from convserve.layers.fields import Ints, Layer, Padding


@frozen
class WindowPool(Layer):
    """What pools over windows share."""

    kernel_size: Ints = field(converter=fields.as_ints, validator=fields.positive_ints)
    stride: Ints | None = field(
        default=None, converter=fields.as_optional_ints, validator=fields.positive_ints
    )
    padding: Padding = field(
        default=((0, 0),), converter=fields.as_padding, validator=fields.pooling_padding
    )
    dilation: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    ceil_mode: bool = field(default=False, converter=fields.as_bool, validator=fields.boolean)


@frozen
class MaxPool(WindowPool):
    """The maximum over windows; padding counts as minus infinity.

    Reads (N, C, *L); gives (N, C, *L') with L' as for `Conv`, rounded up under `ceil_mode`, where
    the last window still starts inside the input or its low padding. `stride` None is the window.
    """


@frozen
class AvgPool(Layer):
    """The mean over windows; shapes as for `MaxPool`.

    The divisor counts the padding if `count_include_pad`, and never what `ceil_mode` adds.
    """

    kernel_size: Ints = field(converter=fields.as_ints, validator=fields.positive_ints)
    stride: Ints | None = field(
        default=None, converter=fields.as_optional_ints, validator=fields.positive_ints
    )
    padding: Padding = field(
        default=((0, 0),), converter=fields.as_padding, validator=fields.pooling_padding
    )
    ceil_mode: bool = field(default=False, converter=fields.as_bool, validator=fields.boolean)
    count_include_pad: bool = field(
        default=True, converter=fields.as_bool, validator=fields.boolean
    )
    dilation: Ints = field(
        default=(1,), kw_only=True, converter=fields.as_ints, validator=fields.positive_ints
    )


@frozen
class LpPool(WindowPool):
    """The p-norm of windows, (sum |x|^p)^(1/p); padding counts as zero. Shapes as for `MaxPool`."""

    p: int = field(default=2, converter=fields.as_int, validator=fields.positive)


@frozen
class GlobalAvgPool(Layer):
    """The mean over all spatial axes: (N, C, *L) to (N, C, 1, ...)."""


@frozen
class GlobalMaxPool(Layer):
    """The maximum over all spatial axes: (N, C, *L) to (N, C, 1, ...)."""


@frozen
class GlobalLpPool(Layer):
    """The p-norm over all spatial axes: (N, C, *L) to (N, C, 1, ...)."""

    p: int = field(default=2, converter=fields.as_int, validator=fields.positive)
