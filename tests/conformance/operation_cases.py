"""The cases of operations: both gradients of Conv, and signals of any rank."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convserve.operations import ConvInputGradient, Convolve, ConvWeightGradient, Correlate
from convserve.tensors import DTYPES, Shape

from tests.conformance.builders import operation_case
from tests.conformance.case import Case
from tests.conformance.layer_cases import RANKS, SIZES


def operation_cases() -> Iterator[Case]:
    """Every operation with each of its options."""
    yield from _gradients()
    yield from _signals()


def _gradients() -> Iterator[Case]:
    for rank in RANKS:
        sizes = SIZES[rank]
        options: dict[str, dict[str, Any]] = {
            "plain": {},
            "stride": {"stride": 2, "padding": 1},
            "asymmetric": {"padding": ((1, 2), (0, 3), (2, 0))[:rank]},
            "dilation": {"dilation": 2, "padding": 2},
            "groups": {"groups": 2},
            "depthwise": {"groups": 4},
            "same": {"padding": "same", "stride": 2},
        }
        for name, fields in options.items():
            yield from _gradient_pair(f"{name}-{rank}d", (2, 4, *sizes), fields)
        yield from _gradient_pair(f"empty_batch-{rank}d", (0, 4, *sizes), {})
    for dtype in DTYPES:
        fields = {"stride": 2, "padding": 1, "groups": 2}
        yield from _gradient_pair("types", (2, 4, 9, 8), fields, dtype=dtype)


def _gradient_pair(name: str, x: Shape, fields: dict[str, Any], **options: Any) -> Iterator[Case]:
    """Both gradients of Conv(8, 3, **fields) at an input of shape `x`."""
    weight = (8, x[1] // fields.get("groups", 1), *[3] * (len(x) - 2))
    grad = (x[0], 8, *_positions(x[2:], fields))
    by_input = ConvInputGradient(input_shape=x, **fields)
    yield operation_case(name, by_input, grad, weight, **options)
    by_weight = ConvWeightGradient(kernel_size=weight[2:], **fields)
    yield operation_case(name, by_weight, x, grad, **options)


def _positions(sizes: Shape, fields: dict[str, Any]) -> Shape:
    stride, padding = fields.get("stride", 1), fields.get("padding", 0)
    if padding == "same":
        return tuple(-(-size // stride) for size in sizes)
    pads = padding if isinstance(padding, tuple) else ((padding, padding),) * len(sizes)
    extent = 2 * fields.get("dilation", 1) + 1
    return tuple(
        (size + low + high - extent) // stride + 1
        for size, (low, high) in zip(sizes, pads, strict=True)
    )


def _signals() -> Iterator[Case]:
    shapes: dict[str, tuple[Shape, Shape]] = {
        "1d": ((20,), (5,)),
        "1d_even": ((21,), (4,)),
        "one": ((1,), (1,)),
        "one_tap": ((9,), (1,)),
        "second_longer": ((4,), (11,)),
        "2d": ((9, 8), (3, 4)),
        "2d_second_longer": ((3, 2), (7, 6)),
        "3d": ((5, 6, 4), (2, 3, 4)),
        "long": ((3000,), (400,)),
        "image": ((40, 50), (24, 20)),
    }
    for mode in ("full", "same", "valid"):
        for name, (a, v) in shapes.items():
            for dtype in ("float32", "float64", "complex64", "complex128"):
                for kind in (Convolve, Correlate):
                    yield operation_case(f"{name}-{mode}", kind(mode), a, v, dtype=dtype)
        for method in ("direct", "fft"):
            for kind in (Convolve, Correlate):
                for dtype in ("float64", "complex64", "int16"):
                    operation = kind(mode, method)
                    yield operation_case(f"{method}-{mode}", operation, (30,), (7,), dtype=dtype)
        for dtype in DTYPES:
            for kind in (Convolve, Correlate):
                wide = {"dtype": dtype, "integers": (-(2**62), 2**62)}
                yield operation_case(f"types-{mode}", kind(mode), (20,), (5,), **wide)
                yield operation_case(f"types-2d-{mode}", kind(mode), (6, 7), (3, 2), **wide)
    for kind in (Convolve, Correlate):
        yield operation_case("special", kind("same"), (3000,), (400,), special=True)
        mixed = {"dtypes": {"v": "complex64"}}
        yield operation_case("mixed", kind("same"), (9, 8), (3, 4), **mixed)
