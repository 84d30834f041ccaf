"""Depthwise and separable convolution: by the rules of the convolutions that they are made of."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from convserve.layers import Conv, DepthwiseConv, SeparableConv
from convserve.tensors import Shape

from convserve_server.planning.dtypes import accumulate
from convserve_server.planning.equivalents import depthwise, pointwise
from convserve_server.planning.layers.conv import bias_work
from convserve_server.planning.layers.conv_like import CONV, ConvLikeRule, check_channels
from convserve_server.planning.layers.rule import Kept, Shapes, Work

D = TypeVar("D", bound=DepthwiseConv | SeparableConv)


class DepthwiseConvRule(ConvLikeRule[DepthwiseConv]):
    """One group per input channel."""

    def as_conv(self, layer: DepthwiseConv, shape: Shape) -> Conv:
        _check_width(layer, shape[0])
        return depthwise(layer, shape[0])

    def weight_names(self, layer: DepthwiseConv) -> tuple[str, ...]:
        return ("weight", "bias") if layer.bias else ("weight",)

    def explain(
        self, given: DepthwiseConv, layer: DepthwiseConv, shapes: Shapes
    ) -> tuple[str, ...]:
        return _explain_depthwise(given, layer, shapes)


class SeparableConvRule(ConvLikeRule[SeparableConv]):
    """Depthwise without a bias, then pointwise. Sums of the first step are not rounded between."""

    def as_conv(self, layer: SeparableConv, shape: Shape) -> Conv:
        _check_width(layer, shape[0])
        return depthwise(layer, shape[0])

    def output_shape(self, layer: SeparableConv, shapes: Shapes) -> Shape:
        return (layer.out_channels, *super().output_shape(layer, shapes)[1:])

    def output_dtype(self, layer: SeparableConv, dtypes: Sequence[str]) -> str:
        return accumulate([accumulate(dtypes[:2]), *dtypes[2:]])

    def weight_names(self, layer: SeparableConv) -> tuple[str, ...]:
        names = ("depthwise_weight", "pointwise_weight")
        return (*names, "bias") if layer.bias else names

    def weight_shapes(self, layer: SeparableConv, shapes: Shapes) -> tuple[Shape, ...]:
        second = CONV.weight_shapes(self._second(layer, shapes), self._between(layer, shapes))
        return (*super().weight_shapes(layer, shapes), *second)

    def mac_count(self, layer: SeparableConv, shapes: Shapes) -> int:
        second = CONV.mac_count(self._second(layer, shapes), self._between(layer, shapes))
        return super().mac_count(layer, shapes) + second

    def kept(self, layer: SeparableConv, shapes: Shapes) -> Kept:
        between = math.prod(self._between(layer, shapes)[0])
        return Kept(inputs=(0,), sample_statistics=between)

    def work(self, layer: SeparableConv, shapes: Shapes) -> Work:
        return bias_work(self._second(layer, shapes), self.output_shape(layer, shapes))

    def explain(
        self, given: SeparableConv, layer: SeparableConv, shapes: Shapes
    ) -> tuple[str, ...]:
        second, between = self._second(layer, shapes), self._between(layer, shapes)
        *_, parameters, macs = CONV.explain(second, second, between)
        total = sum(math.prod(shape) for shape in self.weight_shapes(layer, shapes))
        return (
            *_explain_depthwise(given, layer, shapes),
            f"pointwise, on C = {between[0][0]}: {parameters}",
            f"pointwise: {macs}",
            f"in all {total} parameters and {self.mac_count(layer, shapes)} MACs per sample",
        )

    def _second(self, layer: SeparableConv, shapes: Shapes) -> Conv:
        return pointwise(layer, len(shapes[0]) - 1)

    def _between(self, layer: SeparableConv, shapes: Shapes) -> Shapes:
        return (super().output_shape(layer, shapes),)


def _check_width(layer: DepthwiseConv | SeparableConv, channels: int) -> None:
    count = channels * layer.depth_multiplier
    check_channels(count, f"{channels} * {layer.depth_multiplier}", "depth_multiplier")


def _explain_depthwise(given: D, layer: D, shapes: Shapes) -> tuple[str, ...]:
    channels = shapes[0][0]
    conv = depthwise(layer, channels)
    numbers = f"{channels} * {layer.depth_multiplier} = {conv.out_channels}"
    return (
        f"depthwise: groups = C = {channels}, out_channels = C * depth_multiplier = {numbers}",
        *CONV.explain(depthwise(given, channels), conv, shapes),
    )
