"""Convolution of 8-bit integers: ONNX's ConvInteger and QLinearConv."""

# ruff: noqa: D102  # the methods are those of Rule, which documents them

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from convserve.errors import DTypeError
from convserve.layers import Conv, IntegerConv, QuantizedConv
from convserve.tensors import Shape

from convserve_server.planning.equivalents import grouped
from convserve_server.planning.layers.conv_like import CONV, ConvLikeRule
from convserve_server.planning.layers.rule import NOTHING, Shapes, Work

_BYTES = ("int8", "uint8")


class IntegerConvRule(ConvLikeRule[IntegerConv]):
    """8-bit integers, less their zero points, into int32."""

    statistics = ("input_zero_point", "weight_zero_point")
    keeps = NOTHING

    def as_conv(self, layer: IntegerConv, shape: Shape) -> Conv:
        return grouped(layer)

    def output_dtype(self, layer: IntegerConv, dtypes: Sequence[str]) -> str:
        given = dict(zip(("input", *self.weight_names(layer)), dtypes, strict=True))
        _check_operands(given)
        return "int32"

    def weight_names(self, layer: IntegerConv) -> tuple[str, ...]:
        return ("weight", "input_zero_point", "weight_zero_point")

    def weight_shapes(self, layer: IntegerConv, shapes: Shapes) -> tuple[Shape, ...]:
        return (*super().weight_shapes(layer, shapes), (1,), (layer.out_channels,))

    def work(self, layer: IntegerConv, shapes: Shapes) -> Work:
        return Work(math.prod(shapes[0]), "subtracting the zero point, 1 per input element")

    def explain(self, given: IntegerConv, layer: IntegerConv, shapes: Shapes) -> tuple[str, ...]:
        return CONV.explain(grouped(given), grouped(layer), shapes)


class QuantizedConvRule(ConvLikeRule[QuantizedConv]):
    """Quantized numbers into quantized numbers."""

    statistics = (
        "input_scale", "input_zero_point", "weight_scale", "weight_zero_point", "output_scale",
        "output_zero_point",
    )  # fmt: skip
    keeps = NOTHING

    def as_conv(self, layer: QuantizedConv, shape: Shape) -> Conv:
        return grouped(layer)

    def output_dtype(self, layer: QuantizedConv, dtypes: Sequence[str]) -> str:
        given = dict(zip(("input", *self.weight_names(layer)), dtypes, strict=True))
        _check_operands(given)
        for name, dtype in given.items():
            if name.endswith("_scale"):
                _check_one_of(name, dtype, ("float32",))
        if layer.bias:
            _check_one_of("bias", given["bias"], ("int32",))
        _check_one_of("output_zero_point", given["output_zero_point"], _BYTES)
        return given["output_zero_point"]

    def weight_names(self, layer: QuantizedConv) -> tuple[str, ...]:
        return ("weight", *(["bias"] if layer.bias else []), *self.statistics)

    def weight_shapes(self, layer: QuantizedConv, shapes: Shapes) -> tuple[Shape, ...]:
        one, each = (1,), (layer.out_channels,)
        return (*super().weight_shapes(layer, shapes), one, one, each, each, one, one)

    def weight_dtype(self, name: str, dtype: str) -> str:
        return "float32" if name.endswith("_scale") else "int32" if name == "bias" else dtype

    def work(self, layer: QuantizedConv, shapes: Shapes) -> Work:
        outputs = math.prod(self.output_shape(layer, shapes))
        each = 3 + layer.bias
        return Work(
            math.prod(shapes[0]) + each * outputs,
            "subtracting the zero point, 1 per input element; "
            f"{'the bias, ' * layer.bias}scaling, rounding and the zero point, {each} per output "
            "element",
        )

    def explain(
        self, given: QuantizedConv, layer: QuantizedConv, shapes: Shapes
    ) -> tuple[str, ...]:
        return (
            *CONV.explain(grouped(given), grouped(layer), shapes),
            (
                "result = round((sums + bias) * input_scale * weight_scale / output_scale) + "
                "output_zero_point, cut to the range of its type"
            ),
        )


def _check_operands(given: Mapping[str, str]) -> None:
    """Raise DTypeError unless input and weight are of 8 bits, and their zero points like them."""
    for name in ("input", "weight"):
        _check_one_of(name, given[name], _BYTES)
        _check_one_of(f"{name}_zero_point", given[f"{name}_zero_point"], (given[name],))


def _check_one_of(name: str, dtype: str, takes: tuple[str, ...]) -> None:
    if dtype not in takes:
        raise DTypeError(
            f"{name!r} is {dtype}, but must be {' or '.join(takes)}; quantize or cast it",
            metadata={"value": dtype, "takes": ", ".join(takes)},
        )
