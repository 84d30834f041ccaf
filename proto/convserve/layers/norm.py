"""Normalisation by the input's own statistics, and factors along an axis."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import axis_fields, fields
from convserve.layers.fields import Layer


@frozen
class LocalResponseNorm(Layer):
    """x / (k + alpha / size * sum(x^2))^beta, the sum over `size` neighbouring channels.

    Those are c - before to c + size - 1 - before, as far as they exist. `before` is by default
    size // 2, PyTorch's choice; ONNX's is (size - 1) // 2, which is another one for even sizes.
    Krizhevsky et al. 2012, section 3.3, whose alpha is not divided by the size.
    """

    size: int = field(converter=fields.as_int, validator=fields.positive)
    alpha: float = field(default=1e-4, converter=fields.as_float, validator=fields.finite)
    beta: float = field(default=0.75, converter=fields.as_float, validator=fields.finite)
    k: float = field(default=1.0, converter=fields.as_float, validator=fields.finite)
    before: int | None = field(
        default=None, converter=fields.as_optional_int, validator=fields.optional_index
    )

    @property
    def window(self) -> tuple[int, int]:
        """How many channels before each one, and how many behind it, are in its sum."""
        before = self.size // 2 if self.before is None else self.before
        return before, self.size - 1 - before


@frozen
class LayerNorm(Layer):
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last `axes` axes of a sample.

    The variance divides by the number of elements.
    Weights if `affine`: `weight`, `bias`, each of the shape of those axes.
    """

    axes: int = field(default=1, converter=fields.as_int, validator=fields.positive)
    eps: float = field(default=1e-5, converter=fields.as_float, validator=fields.positive_finite)
    affine: bool = field(default=True, converter=fields.as_bool, validator=fields.boolean)


@frozen
class GroupNorm(Layer):
    """`LayerNorm`'s formula over each of `groups` groups of channels with their spatial axes.

    Weights if `affine`: `weight`, `bias`, each (C).
    """

    groups: int = field(converter=fields.as_int, validator=fields.positive)
    eps: float = field(default=1e-5, converter=fields.as_float, validator=fields.positive_finite)
    affine: bool = field(default=True, converter=fields.as_bool, validator=fields.boolean)


@frozen
class InstanceNorm(Layer):
    """`LayerNorm`'s formula over the spatial axes of each channel.

    Weights if `affine`: `weight`, `bias`, each (C).
    """

    eps: float = field(default=1e-5, converter=fields.as_float, validator=fields.positive_finite)
    affine: bool = field(default=False, converter=fields.as_bool, validator=fields.boolean)


@frozen
class Scale(Layer):
    """x * weight + bias along `axis`: 1 is the channels, -1 the last axis.

    Weights: `weight`, `bias`, each of the size of that axis.
    """

    bias: bool = field(default=True, converter=fields.as_bool, validator=fields.boolean)
    axis: int = field(default=1, converter=fields.as_int, validator=axis_fields.axis)
