"""Convolution.

Output size: PyTorch's rule (aten ConvUtils.h) with explicit (low, high) pairs; the modes `same_*`
are TensorFlow's (kernel_shape_util.cc).
"""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math
from collections.abc import Sequence

from convserve.errors import InvalidLayerError, ShapeError
from convserve.layers import Conv, ConvTranspose
from convserve.layers.fields import settle
from convserve.tensors import Shape

from convserve_server.planning.axes import (
    check_border,
    check_fits,
    explain_windows,
    padding_of,
    product,
    spatial,
    spread,
    windows_of,
)
from convserve_server.planning.dtypes import accumulate
from convserve_server.planning.layers.rule import INPUT, Kept, Rule, Shapes, Work
from convserve_server.planning.receptive_field import Reach


class ConvRule(Rule[Conv]):
    """Cross-correlation over one to three spatial axes."""

    def resolve(self, layer: Conv, shapes: Shapes) -> Conv:
        lengths = spatial(shapes[0])
        check_groups(layer, shapes[0][0])
        layer = spread(layer, len(lengths), "kernel_size", "stride", "dilation")
        padding = padding_of(layer, shapes[0])
        layer = settle(layer, padding=padding)
        check_border(layer.padding_mode, padding, lengths)
        check_fits(windows_of(layer, shapes[0]))
        return layer

    def output_shape(self, layer: Conv, shapes: Shapes) -> Shape:
        return (layer.out_channels, *(window.count for window in windows_of(layer, shapes[0])))

    def output_dtype(self, layer: Conv, dtypes: Sequence[str]) -> str:
        return accumulate(dtypes)

    def weight_names(self, layer: Conv) -> tuple[str, ...]:
        return ("weight", "bias") if layer.bias else ("weight",)

    def weight_shapes(self, layer: Conv, shapes: Shapes) -> tuple[Shape, ...]:
        weight = (layer.out_channels, shapes[0][0] // layer.groups, *layer.kernel_size)
        return (weight, (layer.out_channels,)) if layer.bias else (weight,)

    def mac_count(self, layer: Conv, shapes: Shapes) -> int:
        return math.prod(self.output_shape(layer, shapes)) * _fan_in(layer, shapes)

    def work(self, layer: Conv, shapes: Shapes) -> Work:
        return bias_work(layer, self.output_shape(layer, shapes))

    def kept(self, layer: Conv, shapes: Shapes) -> Kept:
        if layer.padding_mode == "zeros":
            return INPUT
        windows = windows_of(layer, shapes[0])
        padded = math.prod(w.low + w.length + w.high for w in windows)
        return Kept(inputs=(0,), sample_statistics=shapes[0][0] * padded)

    def reach(self, layer: Conv, shapes: Shapes) -> tuple[Reach, ...]:
        return tuple(Reach(w.span, w.stride, w.low) for w in windows_of(layer, shapes[0]))

    def explain(self, given: Conv, layer: Conv, shapes: Shapes) -> tuple[str, ...]:
        taps = f"({shapes[0][0]} / {layer.groups}) * {product(layer.kernel_size)}"
        outputs = self.output_shape(layer, shapes)
        return (
            *explain_windows(given.padding, windows_of(layer, shapes[0])),
            explain_weights("out_channels * (C / groups)", f"{layer.out_channels} * {taps}", layer)
            + str(sum(math.prod(shape) for shape in self.weight_shapes(layer, shapes))),
            (
                "MACs = out_channels * prod(L') * (C / groups) * prod(kernel_size) = "
                f"{layer.out_channels} * {product(outputs[1:])} * {taps} = "
                f"{self.mac_count(layer, shapes)} per sample"
            ),
        )


def check_groups(layer: Conv | ConvTranspose, in_channels: int) -> None:
    """Raise unless groups divides both channel counts."""
    for error, role, channels in (
        (ShapeError, "in_channels", in_channels),
        (InvalidLayerError, "out_channels", layer.out_channels),
    ):
        if channels % layer.groups:
            raise error(
                f"{role} {channels} is not divisible by groups {layer.groups}; use a divisor of "
                f"both {in_channels} and {layer.out_channels}",
                field="groups",
                metadata={role: channels, "groups": layer.groups},
            )


def bias_work(layer: Conv | ConvTranspose, output: Shape) -> Work:
    """One addition per output element for the bias."""
    if not layer.bias:
        return Work()
    return Work(math.prod(output), "adding the bias, 1 per output element")


def explain_weights(formula: str, numbers: str, layer: Conv | ConvTranspose) -> str:
    """The formula of the parameter count up to its last equals sign."""
    bias = (" + out_channels", f" + {layer.out_channels}") if layer.bias else ("", "")
    return f"parameters = {formula} * prod(kernel_size){bias[0]} = {numbers}{bias[1]} = "


def _fan_in(layer: Conv, shapes: Shapes) -> int:
    return shapes[0][0] // layer.groups * math.prod(layer.kernel_size)
