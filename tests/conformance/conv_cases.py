"""The cases of convolutions in other words: depthwise, deformable, quantized, on graphs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convserve import layers as cs
from convserve.layers import Layer
from convserve.tensors import DTYPES, Shape

from tests.conformance.builders import layer_case
from tests.conformance.case import Case
from tests.conformance.layer_cases import BORDERS, FLOATS, RANKS, SIZES

BYTES = ("int8", "uint8")
SCALES = ("input_scale", "weight_scale", "output_scale")


def conv_cases() -> Iterator[Case]:
    """Every such kind with each of its options."""
    yield from _of_each_rank()
    yield from _types()
    yield from _deformable()
    yield from _integer()
    yield from _quantized()
    yield from _graph()
    yield from _columns()


def _of_each_rank() -> Iterator[Case]:
    for rank in RANKS:
        shape, last = (2, 4, *SIZES[rank]), (2, *SIZES[rank], 4)
        options: dict[str, dict[str, Any]] = {
            "plain": {},
            "no_bias": {"bias": False},
            "stride": {"stride": 2, "padding": 1, "dilation": 2},
            "same": {"kernel_size": 4, "padding": "same"},
            "asymmetric": {"padding": ((1, 2), (0, 3), (2, 0))[:rank]},
            **{border: {"padding": 1, "padding_mode": border} for border in BORDERS[1:]},
        }
        for name, fields in options.items():
            for layer in _layers(fields):
                yield layer_case(f"{name}-{rank}d", layer, shape)
        for layer in _layers({"padding": 1}):
            yield layer_case(f"empty_batch-{rank}d", layer, (0, *shape[1:]))
            yield layer_case(f"last-{rank}d", layer, last, layout="channels_last")
    yield layer_case("wider", cs.DepthwiseConv(3, depth_multiplier=3), (2, 4, 9, 8))
    yield layer_case("wider", cs.SeparableConv(5, 3, depth_multiplier=3), (2, 4, 9, 8))
    yield layer_case("groups", cs.SubPixelConv(2, 3, 3, groups=2), (2, 4, 9, 8))


def _layers(fields: dict[str, Any]) -> tuple[Layer, ...]:
    fields = {"kernel_size": 3} | fields
    return (
        cs.DepthwiseConv(**fields),
        cs.SeparableConv(6, **fields),
        cs.SubPixelConv(3, factor=2, **fields),
    )


def _types() -> Iterator[Case]:
    for dtype in DTYPES:
        for layer in _layers({"padding": 1, "stride": 2}):
            yield layer_case("types", layer, (2, 4, 9, 8), dtype=dtype)
    for layer in _layers({}):
        yield layer_case("special", layer, (2, 4, 9, 8), special=True)


def _deformable() -> Iterator[Case]:
    shape, out = (2, 4, 9, 8), (9, 8)
    plain = cs.DeformConv(6, 3, padding=1)
    options: dict[str, tuple[Layer, Shape]] = {
        "plain": (plain, out),
        "no_bias": (cs.DeformConv(6, 3, padding=1, bias=False), out),
        "groups": (cs.DeformConv(6, 3, padding=1, groups=2), out),
        "offset_groups": (cs.DeformConv(6, 3, padding=1, offset_groups=2), out),
        "both_groups": (cs.DeformConv(6, 3, padding=1, groups=2, offset_groups=4), out),
        "stride": (cs.DeformConv(6, (3, 2), stride=(2, 1), dilation=(1, 2)), (4, 6)),
        "asymmetric": (cs.DeformConv(6, 3, padding=((2, 0), (0, 3))), (9, 9)),
        "same": (cs.DeformConv(6, 2, stride=2, padding="same_lower"), (5, 4)),
    }
    for name, (layer, sizes) in options.items():
        for inputs in _deformed(layer, shape, sizes):
            yield layer_case(f"{name}-{len(inputs)}", layer, *inputs, spread=2.0)
    for dtype in FLOATS:
        yield layer_case("types", plain, *_deformed(plain, shape, out)[1], dtype=dtype)
    yield layer_case("empty_batch", plain, *_deformed(plain, (0, 4, 9, 8), out)[1])
    last = tuple((n, *sizes, c) for n, c, *sizes in _deformed(plain, shape, out)[1])
    yield layer_case("last", plain, *last, layout="channels_last")


def _deformed(layer: Layer, shape: Shape, sizes: Shape) -> tuple[tuple[Shape, ...], ...]:
    """The inputs without and with a mask."""
    assert isinstance(layer, cs.DeformConv)
    kernel = layer.kernel_size * 2 if len(layer.kernel_size) == 1 else layer.kernel_size
    places = layer.offset_groups * kernel[0] * kernel[1]
    offset, mask = (shape[0], 2 * places, *sizes), (shape[0], places, *sizes)
    return (shape, offset), (shape, offset, mask)


def _integer() -> Iterator[Case]:
    for rank in RANKS:
        layer = cs.IntegerConv(6, 3, stride=2, padding=1, groups=2)
        shape, last = (2, 4, *SIZES[rank]), (2, *SIZES[rank], 4)
        for dtype in BYTES:
            options: dict[str, Any] = {"dtype": dtype, "integers": (-128, 255)}
            yield layer_case(f"{rank}d", layer, shape, **options)
        yield layer_case(f"empty_batch-{rank}d", layer, (0, *shape[1:]), dtype="int8")
        yield layer_case(f"last-{rank}d", layer, last, dtype="int8", layout="channels_last")
    mixed = dict.fromkeys(("integer_conv1.weight", "integer_conv1.weight_zero_point"), "int8")
    same = cs.IntegerConv(6, 4, dilation=2, padding="same")
    yield layer_case("mixed", same, (2, 4, 9, 8), dtype="uint8", dtypes=mixed, integers=(-128, 255))


def _quantized() -> Iterator[Case]:
    types = {f"quantized_conv1.{role}": "float32" for role in SCALES}
    types["quantized_conv1.bias"] = "int32"
    for rank in RANKS:
        shape, last = (2, 4, *SIZES[rank]), (2, *SIZES[rank], 4)
        layer = cs.QuantizedConv(6, 3, stride=2, padding=1, groups=2)
        for dtype in BYTES:
            options: dict[str, Any] = {"dtype": dtype, "dtypes": types, "integers": (-128, 255)}
            yield layer_case(f"{rank}d", layer, shape, **options)
        yield layer_case(f"empty_batch-{rank}d", layer, (0, *shape[1:]), **options)
        yield layer_case(f"last-{rank}d", layer, last, layout="channels_last", **options)
    mixed = types | {"quantized_conv1.output_zero_point": "int8"}
    plain = cs.QuantizedConv(6, 3, bias=False)
    del mixed["quantized_conv1.bias"]
    yield layer_case("mixed", plain, (2, 4, 9, 8), dtype="uint8", dtypes=mixed)


def _graph() -> Iterator[Case]:
    for dtype in (*FLOATS, "complex64", "complex128"):
        yield layer_case("types", cs.GraphConv(5, 3), (2, 7, 4), dtype=dtype)
        yield layer_case("types-fewer", cs.GraphConv(3, 2), (2, 7, 4), dtype=dtype)
    yield layer_case("one", cs.GraphConv(5), (2, 7, 4))
    yield layer_case("no_bias", cs.GraphConv(5, 2, bias=False), (2, 7, 4))
    yield layer_case("empty_batch", cs.GraphConv(5, 2), (0, 7, 4))
    yield layer_case("last", cs.GraphConv(5, 2), (2, 4, 7), layout="channels_last")


def _columns() -> Iterator[Case]:
    for rank in RANKS:
        shape, last = (2, 3, *SIZES[rank]), (2, *SIZES[rank], 3)
        pads = ((1, 2), (0, 3), (2, 0))[:rank]
        for name, layer in {
            "plain": cs.Unfold(3),
            "options": cs.Unfold((3, 2, 2)[:rank], 2, pads, (2, 1, 2)[:rank]),
            "outside": cs.Unfold(2, 3, 4),
        }.items():
            yield layer_case(f"{name}-{rank}d", layer, shape)
        yield layer_case(f"empty_batch-{rank}d", cs.Unfold(2), (0, *shape[1:]))
        yield layer_case(f"last-{rank}d", cs.Unfold(2), last, layout="channels_last")
    for dtype in DTYPES:
        yield layer_case("types", cs.Unfold(3, 2, 1), (2, 3, 6, 5), dtype=dtype)
        if dtype != "bool":
            yield layer_case("types", cs.Fold((6, 5), 3, 2, 1), (2, 27, 9), dtype=dtype)
    yield layer_case("1d", cs.Fold(13, 4, 3, 1, 2), (2, 8, 3))
    yield layer_case("2d", cs.Fold((6, 5), (3, 2), 1, ((1, 0), (0, 2)), (1, 2)), (2, 18, 25))
    yield layer_case("3d", cs.Fold((4, 3, 5), 2, (2, 1, 3)), (2, 16, 8))
    yield layer_case("empty_batch", cs.Fold((6, 5), 3, 2, 1), (0, 27, 9))
    yield layer_case("last", cs.Fold((6, 5), 3, 2, 1), (2, 9, 27), layout="channels_last")
