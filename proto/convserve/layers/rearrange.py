"""Layers that move elements without computing: padding, pixel shuffles."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import fields
from convserve.layers.fields import Layer, Padding


@frozen
class Pad(Layer):
    """Elements around the spatial axes: zeros (or `value`), reflect, replicate or circular."""

    padding: Padding = field(converter=fields.as_padding, validator=fields.numeric_padding)
    mode: str = field(default="zeros", validator=fields.border_mode)
    value: float = field(default=0.0, converter=fields.as_float, validator=fields.finite)


@frozen
class PixelShuffle(Layer):
    """(N, C * r^n, *L) to (N, C, *(L * r)) with r = factor, n the number of spatial axes."""

    factor: int = field(converter=fields.as_int, validator=fields.positive)


@frozen
class PixelUnshuffle(Layer):
    """(N, C, *(L * r)) to (N, C * r^n, *L): the inverse of `PixelShuffle`."""

    factor: int = field(converter=fields.as_int, validator=fields.positive)
