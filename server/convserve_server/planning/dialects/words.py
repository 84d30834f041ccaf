"""A layer as a framework's text says it, before any framework's rule is applied to it."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen
from convserve.errors import InvalidLayerError, ShapeError
from convserve.layers import (
    AvgPool,
    Conv,
    ConvTranspose,
    DepthwiseConv,
    Layer,
    MaxPool,
    SeparableConv,
    kind_of,
)
from convserve.layers.fields import Ints, Pairs

from convserve_server.planning.axes import per_axis
from convserve_server.planning.windows import span

CONVS = ("conv", "depthwise_conv", "separable_conv")
POOLS = ("max_pool", "avg_pool")
TRANSPOSED = "conv_transpose"
SAME = ("same", "same_upper", "same_lower")
NO_PADDING: Pairs = ((0, 0),)

_CLASSES: dict[str, type[Layer]] = {
    "conv": Conv,
    "depthwise_conv": DepthwiseConv,
    "separable_conv": SeparableConv,
    TRANSPOSED: ConvTranspose,
    "max_pool": MaxPool,
    "avg_pool": AvgPool,
}
_SHARED = ("kernel_size", "stride", "padding", "dilation", "bias", "groups", "out_channels")
_OWN = ("padding_mode", "depth_multiplier", "ceil_mode", "count_include_pad", "output_size")


@frozen(kw_only=True)
class Axis:
    """What is said about one spatial axis, and the input's length along it."""

    length: int
    kernel_size: int
    stride: int
    dilation: int
    padding: str | tuple[int, int]
    output_padding: int | None = None
    output_size: int | None = None
    ceil_mode: bool = False

    @property
    def span(self) -> int:
        """From the first tap to the last: e = dilation * (kernel_size - 1) + 1."""
        return span(self.kernel_size, self.dilation)

    @property
    def pair(self) -> tuple[int, int]:
        """The numbers of the padding; none where it is a mode."""
        return (0, 0) if isinstance(self.padding, str) else self.padding

    @property
    def natural(self) -> int:
        """What a transposed layer makes before anything is cut or added: (L - 1) * stride + e."""
        return (self.length - 1) * self.stride + self.span


@frozen(kw_only=True)
class Words:
    """A window layer in words that the frameworks share. A tuple of one value is for every axis.

    `padding` is a mode of ours or (low, high) pairs, which may be negative; `both` are numbers that
    were given beside a mode. `output_padding` None was not given, which is not 0 to every
    framework. 0 channels and rank 0: the text does not say. `notes` are what else is to be known.
    """

    kind: str
    kernel_size: Ints
    stride: Ints = (1,)
    dilation: Ints = (1,)
    padding: str | Pairs = NO_PADDING
    both: Pairs = ()
    output_padding: Ints | None = None
    output_size: Ints | None = None
    in_channels: int = 0
    out_channels: int = 0
    groups: int = 1
    depth_multiplier: int = 1
    bias: bool = True
    padding_mode: str = "zeros"
    ceil_mode: bool = False
    count_include_pad: bool = True
    rank: int = 0
    notes: tuple[str, ...] = ()

    def spread(self, rank: int) -> Words:
        """The same with one value for each of `rank` axes. Raises InvalidLayerError, ShapeError."""
        if self.rank not in (0, rank):
            hint = "; is the batch missing?" if rank == self.rank - 1 else ""
            raise ShapeError(
                f"the layer has {self.rank} spatial axes, but the input has {rank} after batch and "
                f"channels{hint}; give the batch, the channels and {self.rank} sizes",
                field="inputs",
                metadata={"value": rank, "limit": self.rank},
            )
        names = ("kernel_size", "stride", "dilation", "output_padding", "output_size", "padding")
        values: dict[str, Any] = {name: getattr(self, name) for name in names}
        spread: dict[str, Any] = {
            name: per_axis(value, rank, name)
            for name, value in values.items()
            if isinstance(value, tuple)
        }
        return evolve(self, rank=rank, **spread)

    def axis(self, index: int, length: int) -> Axis:
        """One axis of words that were spread."""
        return Axis(
            length=length,
            kernel_size=self.kernel_size[index],
            stride=self.stride[index],
            dilation=self.dilation[index],
            padding=self.padding if isinstance(self.padding, str) else self.padding[index],
            output_padding=None if self.output_padding is None else self.output_padding[index],
            output_size=None if self.output_size is None else self.output_size[index],
            ceil_mode=self.ceil_mode,
        )

    @property
    def result_channels(self) -> int:
        """Channels of the result; 0 where the words do not say."""
        if self.kind == "depthwise_conv":
            return self.in_channels * self.depth_multiplier
        return self.in_channels if self.kind in POOLS else self.out_channels

    @property
    def group_count(self) -> int:
        """The independent groups of channels, of a depthwise convolution too."""
        return self.in_channels if self.kind == "depthwise_conv" else self.groups

    def layer(self) -> Layer:
        """Our layer of these words, each word in our meaning.

        Raises InvalidLayerError for what no layer of ours can say.
        """
        if self.both:
            raise InvalidLayerError(
                f"a mode ({self.padding}) and numbers {self.both} are given; give one of them",
                field="padding",
            )
        cls = _CLASSES[self.kind]
        known = {name for name in (*_SHARED, *_OWN) if hasattr(cls, name)}
        values: dict[str, Any] = {name: getattr(self, name) for name in known}
        if self.kind == TRANSPOSED:
            values["output_padding"] = self.output_padding or (0,)
        if not self.out_channels and "out_channels" in known:
            values["out_channels"] = 1
        return cls(**values)


def words_of(layer: Layer, in_channels: int) -> Words | None:
    """The words of a layer that has windows; None for any other kind."""
    kind = kind_of(layer)
    if kind not in _CLASSES:
        return None
    given: dict[str, Any] = {
        name: getattr(layer, name) for name in (*_SHARED, *_OWN) if hasattr(layer, name)
    }
    given["stride"] = given["stride"] or given["kernel_size"]
    padding = given["padding"]
    output_padding = getattr(layer, "output_padding", None)
    if output_padding is not None and (any(output_padding) or not isinstance(padding, str)):
        given["output_padding"] = output_padding  # beside a mode, 0 says nothing
    return Words(kind=kind, in_channels=in_channels, **given)
