"""Sub-pixel convolution: by the rules of `Conv` and `PixelShuffle`."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math
from collections.abc import Sequence

from convserve.layers import Conv, PixelShuffle, SubPixelConv
from convserve.tensors import Shape

from convserve_server.planning.equivalents import before_shuffle
from convserve_server.planning.layers.conv_like import CONV, ConvLikeRule, check_channels
from convserve_server.planning.layers.rearrange import PixelShuffleRule
from convserve_server.planning.layers.rule import Shapes
from convserve_server.planning.receptive_field import AxisFields, Reach, advance

_SHUFFLE = PixelShuffleRule()


class SubPixelConvRule(ConvLikeRule[SubPixelConv]):
    """A convolution to out_channels * r^n channels, then channels to space."""

    def as_conv(self, layer: SubPixelConv, shape: Shape) -> Conv:
        rank = len(shape) - 1
        count = layer.out_channels * layer.factor**rank
        check_channels(count, f"{layer.out_channels} * {layer.factor}^{rank}", "factor")
        return before_shuffle(layer, rank)

    def output_shape(self, layer: SubPixelConv, shapes: Shapes) -> Shape:
        return _SHUFFLE.output_shape(PixelShuffle(layer.factor), self._between(layer, shapes))

    def reach(self, layer: SubPixelConv, shapes: Shapes) -> tuple[Reach, ...]:
        """Of `factor` neighbours, which see one window, the hull: with a stride it is wider."""
        return tuple(
            Reach(
                span=(each.span - 1) * layer.factor + 1 + (layer.factor - 1) * each.stride,
                stride=each.stride,
                low=each.low * layer.factor + (layer.factor - 1) * each.stride,
                up=layer.factor,
            )
            for each in super().reach(layer, shapes)
        )

    def field(
        self,
        layer: SubPixelConv,
        shapes: Shapes,
        reaches: Sequence[Reach],
        before: AxisFields | None,
    ) -> AxisFields | None:
        coarse = advance(before, super().reach(layer, shapes))
        shuffle = PixelShuffle(layer.factor)
        return advance(coarse, _SHUFFLE.reach(shuffle, self._between(layer, shapes)))

    def can_cut(self, layer: SubPixelConv, shapes: Shapes, axis: int) -> bool:
        """Where the reach tells that what is shuffled also shifts by whole elements."""
        return math.gcd(layer.stride[axis - 2], layer.factor) == 1

    def weight_names(self, layer: SubPixelConv) -> tuple[str, ...]:
        return ("weight", "bias") if layer.bias else ("weight",)

    def explain(self, given: SubPixelConv, layer: SubPixelConv, shapes: Shapes) -> tuple[str, ...]:
        shape, rank = shapes[0], len(shapes[0]) - 1
        conv = self.as_conv(layer, shape)
        shuffle = PixelShuffle(layer.factor)
        numbers = f"{layer.out_channels} * {layer.factor}^{rank} = {conv.out_channels}"
        return (
            f"the convolution has out_channels * factor^axes = {numbers} channels",
            *CONV.explain(self.as_conv(given, shape), conv, shapes),
            *_SHUFFLE.explain(shuffle, shuffle, self._between(layer, shapes)),
        )

    def _between(self, layer: SubPixelConv, shapes: Shapes) -> Shapes:
        return (super().output_shape(layer, shapes),)
