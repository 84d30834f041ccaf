"""Windows as columns, and columns added into windows."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import fields
from convserve.layers.fields import Ints, Layer, Padding


@frozen
class Unfold(Layer):
    """Every window as a column: (N, C, *L) to (N, C * prod(kernel_size), prod(L')).

    L' is as for `Conv`; padding is zeros. Rows run over (channels, kernel axes...), columns over
    the windows, both in C order.
    """

    kernel_size: Ints = field(converter=fields.as_ints, validator=fields.positive_ints)
    stride: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    padding: Padding = field(
        default=((0, 0),), converter=fields.as_padding, validator=fields.padding
    )
    dilation: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)


@frozen
class Fold(Layer):
    """The adjoint of `Unfold`: (N, C * prod(kernel_size), prod(L')) to (N, C, *output_size).

    Every column is added where its window lies; what lies in the padding is dropped. `output_size`
    tells the number of spatial axes.
    """

    output_size: Ints = field(converter=fields.as_ints, validator=fields.positive_ints)
    kernel_size: Ints = field(converter=fields.as_ints, validator=fields.positive_ints)
    stride: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    padding: Padding = field(
        default=((0, 0),), converter=fields.as_padding, validator=fields.numeric_padding
    )
    dilation: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
