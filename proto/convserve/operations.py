"""Computations that are not layers: signal operations and the gradients of `Conv`."""

from __future__ import annotations

from typing import TypeAlias

from attrs import Attribute, field, frozen

from convserve.errors import InvalidLayerError
from convserve.layers import fields
from convserve.layers.fields import Ints, Padding

MODES = ("full", "same", "valid")
METHODS = ("auto", "direct", "fft")


@frozen
class Convolve:
    """True convolution of `a` and `v`, of equal rank; scipy.signal.convolve."""

    mode: str = field(default="full", validator=fields.one_of(*MODES))
    method: str = field(default="auto", validator=fields.one_of(*METHODS))


@frozen
class Correlate:
    """Cross-correlation of `a` with the conjugate of `v`; scipy.signal.correlate."""

    mode: str = field(default="full", validator=fields.one_of(*MODES))
    method: str = field(default="auto", validator=fields.one_of(*METHODS))


def _shape(_: object, attribute: Attribute[Ints], value: Ints) -> None:
    ok = 3 <= len(value) <= 2 + fields.MAX_SPATIAL_RANK and all(
        fields.is_int(size, 0) for size in value
    )
    if not ok:
        raise InvalidLayerError(
            f"{str(value)[:200]} is not a shape (batch, channels, one to three spatial sizes)",
            field=attribute.name,
        )


@frozen
class ConvInputGradient:
    """The gradient of Conv for its input, from `grad_output` (N, K, ...) and `weight`."""

    input_shape: Ints = field(converter=fields.as_ints, validator=_shape)
    stride: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    padding: Padding = field(
        default=((0, 0),), converter=fields.as_padding, validator=fields.padding
    )
    dilation: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    groups: int = field(default=1, converter=fields.as_int, validator=fields.positive)


@frozen
class ConvWeightGradient:
    """The gradient of Conv for its weight, from `x` (N, C, ...) and `grad_output` (N, K, ...)."""

    kernel_size: Ints = field(converter=fields.as_ints, validator=fields.positive_ints)
    stride: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    padding: Padding = field(
        default=((0, 0),), converter=fields.as_padding, validator=fields.padding
    )
    dilation: Ints = field(default=(1,), converter=fields.as_ints, validator=fields.positive_ints)
    groups: int = field(default=1, converter=fields.as_int, validator=fields.positive)


Operation: TypeAlias = Convolve | Correlate | ConvInputGradient | ConvWeightGradient

# kind (the name of its field in the message Operation) -> class
OPERATIONS: dict[str, type[Operation]] = {
    "convolve": Convolve,
    "correlate": Correlate,
    "conv_input_gradient": ConvInputGradient,
    "conv_weight_gradient": ConvWeightGradient,
}
OPERANDS: dict[str, tuple[str, str]] = {
    "convolve": ("a", "v"),
    "correlate": ("a", "v"),
    "conv_input_gradient": ("grad_output", "weight"),
    "conv_weight_gradient": ("x", "grad_output"),
}


def operation_kind(operation: Operation) -> str:
    """The operation's kind, such as `convolve`."""
    return next(kind for kind, cls in OPERATIONS.items() if type(operation) is cls)
