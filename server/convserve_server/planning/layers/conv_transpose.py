"""Transposed convolution: PyTorch's size rule, and `same` as output = input * stride."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import evolve
from convserve.errors import InvalidLayerError, ShapeError
from convserve.layers import ConvTranspose
from convserve.tensors import Shape

from convserve_server.planning.axes import (
    axis_names,
    check_result,
    explain_span,
    per_axis,
    product,
    spatial,
    spread,
    windows_of,
)
from convserve_server.planning.dtypes import accumulate
from convserve_server.planning.layers.conv import bias_work, check_groups, explain_weights
from convserve_server.planning.layers.rule import Rule, Shapes, Work
from convserve_server.planning.receptive_field import Reach
from convserve_server.planning.windows import Window, span, split


class ConvTransposeRule(Rule[ConvTranspose]):
    """The adjoint of `Conv` with the same numbers."""

    def resolve(self, layer: ConvTranspose, shapes: Shapes) -> ConvTranspose:
        rank = len(spatial(shapes[0]))
        check_groups(layer, shapes[0][0])
        layer = spread(layer, rank, "kernel_size", "stride", "dilation", "output_padding")
        same = _is_same(layer)
        layer = _resolve_same(layer) if same else _resolve_numbers(layer, rank)
        if layer.output_size is not None:
            layer = _resolve_output_size(layer, shapes[0], same=same)
        check_result(self.output_shape(layer, shapes))
        return layer

    def output_shape(self, layer: ConvTranspose, shapes: Shapes) -> Shape:
        lengths = [window.transposed_length for window in windows_of(layer, shapes[0])]
        sizes = (a + b for a, b in zip(lengths, layer.output_padding, strict=True))
        return (layer.out_channels, *sizes)

    def output_dtype(self, layer: ConvTranspose, dtypes: Sequence[str]) -> str:
        return accumulate(dtypes)

    def weight_names(self, layer: ConvTranspose) -> tuple[str, ...]:
        return ("weight", "bias") if layer.bias else ("weight",)

    def weight_shapes(self, layer: ConvTranspose, shapes: Shapes) -> tuple[Shape, ...]:
        weight = (shapes[0][0], layer.out_channels // layer.groups, *layer.kernel_size)
        return (weight, (layer.out_channels,)) if layer.bias else (weight,)

    def mac_count(self, layer: ConvTranspose, shapes: Shapes) -> int:
        taps = layer.out_channels // layer.groups * math.prod(layer.kernel_size)
        return math.prod(shapes[0]) * taps

    def work(self, layer: ConvTranspose, shapes: Shapes) -> Work:
        return bias_work(layer, self.output_shape(layer, shapes))

    def reach(self, layer: ConvTranspose, shapes: Shapes) -> tuple[Reach, ...]:
        return tuple(
            Reach(span=w.span, low=w.span - 1 - w.low, up=w.stride)
            for w in windows_of(layer, shapes[0])
        )

    def explain(
        self, given: ConvTranspose, layer: ConvTranspose, shapes: Shapes
    ) -> tuple[str, ...]:
        windows = windows_of(layer, shapes[0])
        lines = []
        for axis, window, extra in zip(
            axis_names(len(windows)), windows, layer.output_padding, strict=True
        ):
            formulas = [explain_span(window), *_explain_same(given, window, extra)]
            lines += [f"{axis}: {line}" for line in (*formulas, _explain_length(window, extra))]
        taps = f"({layer.out_channels} / {layer.groups}) * {product(layer.kernel_size)}"
        channels, *lengths = shapes[0]
        return (
            *lines,
            explain_weights("C * (out_channels / groups)", f"{channels} * {taps}", layer)
            + str(sum(math.prod(shape) for shape in self.weight_shapes(layer, shapes))),
            (
                "MACs = C * prod(L) * (out_channels / groups) * prod(kernel_size) = "
                f"{channels} * {product(lengths)} * {taps} = "
                f"{self.mac_count(layer, shapes)} per sample (counted by input positions)"
            ),
        )


def _is_same(layer: ConvTranspose) -> bool:
    return isinstance(layer.padding, str) and layer.padding.startswith("same")


def _resolve_same(layer: ConvTranspose) -> ConvTranspose:
    """L' = L * stride: e - stride elements are cut, or stride - e added at the end."""
    if any(layer.output_padding):
        raise InvalidLayerError(
            f"padding '{layer.padding}' fixes the size to L * stride, so output_padding "
            f"{layer.output_padding} must be 0",
            field="output_padding",
            metadata={"value": layer.output_padding, "limit": 0},
        )
    excess = [span(k, d) - s for k, d, s in _numbers(layer)]
    more_low = layer.padding == "same_lower"
    return evolve(
        layer,
        padding=tuple(split(max(0, cut), more_low=more_low) for cut in excess),
        output_padding=tuple(max(0, -cut) for cut in excess),
    )


def _resolve_numbers(layer: ConvTranspose, rank: int) -> ConvTranspose:
    padding = ((0, 0),) if isinstance(layer.padding, str) else layer.padding
    for extra, (_, dilation, stride) in zip(layer.output_padding, _numbers(layer), strict=True):
        if extra >= max(stride, dilation):
            raise InvalidLayerError(
                f"output_padding {extra} must be less than the larger of stride {stride} and "
                f"dilation {dilation}; use at most {max(stride, dilation) - 1}",
                field="output_padding",
                metadata={"value": extra, "limit": max(stride, dilation) - 1},
            )
    return evolve(layer, padding=per_axis(padding, rank, "padding"))


def _resolve_output_size(layer: ConvTranspose, shape: Shape, *, same: bool) -> ConvTranspose:
    """The wanted size as `output_padding`, which it replaces; `same` leaves no choice."""
    sizes = per_axis(layer.output_size or (), len(shape) - 1, "output_size")
    least = tuple(window.transposed_length for window in windows_of(layer, shape))
    given = tuple(a + b for a, b in zip(least, layer.output_padding, strict=True))
    if not same and any(layer.output_padding) and given != sizes:
        raise InvalidLayerError(
            f"output_size {sizes} and output_padding {layer.output_padding} (which gives {given}) "
            "disagree; give one of them",
            field="output_size",
            metadata={"value": sizes, "limit": given},
        )
    most = given if same else tuple(a + s - 1 for a, s in zip(least, layer.stride, strict=True))
    for size, low, high in zip(sizes, given if same else least, most, strict=True):
        if not low <= size <= high:
            raise ShapeError(
                f"output_size {size} is not from {low} to {high}, the sizes that this input can "
                "come from",
                field="output_size",
                metadata={"value": size, "minimum": low, "limit": high},
            )
    extra = tuple(size - low for size, low in zip(sizes, least, strict=True))
    return evolve(layer, output_padding=extra, output_size=None)


def _numbers(layer: ConvTranspose) -> tuple[tuple[int, int, int], ...]:
    return tuple(zip(layer.kernel_size, layer.dilation, layer.stride, strict=True))


def _explain_same(given: ConvTranspose, window: Window, extra: int) -> list[str]:
    if not _is_same(given):
        return []
    return [
        (
            f"{given.padding}: L' = L * stride, so low + high - output_padding = e - stride = "
            f"{window.span} - {window.stride} = {window.span - window.stride}: "
            f"low {window.low}, high {window.high}, output_padding {extra}"
        )
    ]


def _explain_length(window: Window, extra: int) -> str:
    return (
        "L' = (L - 1) * stride - low - high + e + output_padding = "
        f"({window.length} - 1) * {window.stride} - {window.low} - {window.high} + {window.span} "
        f"+ {extra} = {window.transposed_length + extra}"
    )
