"""Deformable convolution: torchvision's and ONNX's rules, which are the same."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math

from convserve.errors import InvalidLayerError, ShapeError
from convserve.layers import Conv, DeformConv
from convserve.tensors import Shape

from convserve_server.planning.axes import batched, product
from convserve_server.planning.dtypes import FRACTIONS
from convserve_server.planning.equivalents import grouped
from convserve_server.planning.layers.conv_like import CONV, ConvLikeRule
from convserve_server.planning.layers.rule import INPUTS, Shapes, Work

RANK = 2


class DeformConvRule(ConvLikeRule[DeformConv]):
    """Its field and reach are those without offsets, which are data."""

    least_inputs, most_inputs = 2, 3
    seen_inputs = 1
    takes = FRACTIONS
    keeps = INPUTS

    def as_conv(self, layer: DeformConv, shape: Shape) -> Conv:
        return grouped(layer)

    def resolve(self, layer: DeformConv, shapes: Shapes) -> DeformConv:
        if len(shapes[0]) - 1 != RANK:
            raise ShapeError(
                f"the input {batched(shapes[0])} has {len(shapes[0]) - 1} spatial axes, but a "
                f"deformable convolution needs exactly {RANK}: (N, C, height, width)",
                metadata={"rank": len(shapes[0]) + 1, "limit": RANK + 2},
            )
        if shapes[0][0] % layer.offset_groups:
            raise InvalidLayerError(
                f"in_channels {shapes[0][0]} is not divisible by offset_groups "
                f"{layer.offset_groups}; use a divisor of it",
                field="offset_groups",
                metadata={"in_channels": shapes[0][0], "value": layer.offset_groups},
            )
        layer = super().resolve(layer, shapes)
        self._check_offsets(layer, shapes)
        return layer

    def weight_names(self, layer: DeformConv) -> tuple[str, ...]:
        return ("weight", "bias") if layer.bias else ("weight",)

    def work(self, layer: DeformConv, shapes: Shapes) -> Work:
        output = self.output_shape(layer, shapes)
        reads = shapes[0][0] * math.prod(layer.kernel_size) * math.prod(output[1:])
        each = 7 + (len(shapes) - 2)
        bias = super().work(layer, shapes)
        meaning = "interpolation, 4 products and 3 sums per element read"
        meaning += ", and its product with the mask" if len(shapes) > 2 else ""
        return Work(
            each * reads + bias.count, meaning + (f"; {bias.meaning}" if bias.count else "")
        )

    def can_cut(self, layer: DeformConv, shapes: Shapes, axis: int) -> bool:
        return False

    def explain(self, given: DeformConv, layer: DeformConv, shapes: Shapes) -> tuple[str, ...]:
        numbers = f"2 * {layer.offset_groups} * {product(layer.kernel_size)} = {shapes[1][0]}"
        return (
            *CONV.explain(grouped(given), grouped(layer), shapes[:1]),
            f"offset channels = 2 * offset_groups * prod(kernel_size) = {numbers}",
            "every tap is moved by its offset; the receptive field is that without offsets",
        )

    def _check_offsets(self, layer: DeformConv, shapes: Shapes) -> None:
        """Raise ShapeError unless every tap of every output has a place, and a mask if given."""
        lengths = self.output_shape(layer, shapes)[1:]
        places = layer.offset_groups * math.prod(layer.kernel_size)
        for position, (name, channels) in enumerate((("offset", 2 * places), ("mask", places)), 1):
            wanted = (channels, *lengths)
            if len(shapes) > position and shapes[position] != wanted:
                raise ShapeError(
                    f"input {position}, the {name}, has shape {batched(shapes[position])}, but "
                    f"must have {batched(wanted)}: {'2 * ' * (position == 1)}offset_groups * "
                    "prod(kernel_size) channels, and the output's height and width",
                    metadata={"position": position, "value": shapes[position], "limit": wanted},
                )
