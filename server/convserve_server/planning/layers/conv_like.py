"""What the kinds share that are convolutions in other words."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar

from convserve.errors import InvalidLayerError
from convserve.layers import Conv, DepthwiseConv, SeparableConv, SubPixelConv, Unfold
from convserve.layers.fields import MAX_SIZE, settle
from convserve.tensors import Shape

from convserve_server.planning.axes import spatial
from convserve_server.planning.dtypes import accumulate
from convserve_server.planning.equivalents import GroupedLayer
from convserve_server.planning.layers.conv import ConvRule
from convserve_server.planning.layers.rule import Rule, Shapes, Work
from convserve_server.planning.receptive_field import Reach

CONV = ConvRule()
W = TypeVar("W", bound=DepthwiseConv | SeparableConv | SubPixelConv | GroupedLayer | Unfold)


class ConvLikeRule(Rule[W]):
    """A layer whose shapes, counts and reach are those of a `Conv` of its first input."""

    @abstractmethod
    def as_conv(self, layer: W, shape: Shape) -> Conv:
        """The convolution, for an input of `shape`; resolved if the layer is."""

    def resolve(self, layer: W, shapes: Shapes) -> W:
        spatial(shapes[0])
        conv = CONV.resolve(self.as_conv(layer, shapes[0]), shapes[:1])
        return settle(
            layer,
            kernel_size=conv.kernel_size,
            stride=conv.stride,
            padding=conv.padding,
            dilation=conv.dilation,
        )

    def output_shape(self, layer: W, shapes: Shapes) -> Shape:
        return CONV.output_shape(self.as_conv(layer, shapes[0]), shapes)

    def output_dtype(self, layer: W, dtypes: Sequence[str]) -> str:
        return accumulate(dtypes)

    def weight_shapes(self, layer: W, shapes: Shapes) -> tuple[Shape, ...]:
        return CONV.weight_shapes(self.as_conv(layer, shapes[0]), shapes)

    def mac_count(self, layer: W, shapes: Shapes) -> int:
        return CONV.mac_count(self.as_conv(layer, shapes[0]), shapes)

    def work(self, layer: W, shapes: Shapes) -> Work:
        return CONV.work(self.as_conv(layer, shapes[0]), shapes)

    def reach(self, layer: W, shapes: Shapes) -> tuple[Reach, ...]:
        return CONV.reach(self.as_conv(layer, shapes[0]), shapes)


def check_channels(count: int, formula: str, field: str) -> None:
    """Raise InvalidLayerError for more channels than a convolution takes."""
    if count > MAX_SIZE:
        raise InvalidLayerError(
            f"the convolution would have {formula} = {count} channels; the limit is {MAX_SIZE}; "
            "use a smaller number",
            field=field,
            metadata={"value": count, "limit": MAX_SIZE},
        )
