"""The cases of layers: every kind with each of its options, on ranks 1 to 3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convserve import layers as cs
from convserve.layers import Layer
from convserve.tensors import DTYPES, Shape

from tests.conformance.builders import layer_case
from tests.conformance.case import Case

RANKS = (1, 2, 3)
SIZES: dict[int, Shape] = {1: (13,), 2: (9, 8), 3: (6, 5, 7)}
BORDERS = ("zeros", "reflect", "replicate", "circular")
INTEGERS = tuple(name for name in DTYPES if "int" in name)
FLOATS = ("float16", "bfloat16", "float32", "float64")


def layer_cases() -> Iterator[Case]:
    """Every kind of layer with each of its options."""
    yield from _conv()
    yield from _special_convs()
    yield from _conv_types()
    yield from _conv_transpose()
    yield from _pools()
    yield from _pools_of_any_batch()
    yield from _pool_types()
    yield from _elementwise()
    yield from _features()
    yield from _rearranged()
    yield from _merges()


def _conv() -> Iterator[Case]:
    for rank in RANKS:
        shape = (2, 4, *SIZES[rank])
        options: dict[str, dict[str, Any]] = {
            "plain": {},
            "no_bias": {"bias": False},
            "stride": {"stride": 2, "padding": 1},
            "dilation": {"dilation": 2, "padding": 2},
            "groups": {"groups": 2},
            "depthwise": {"groups": 4, "out_channels": 8, "padding": 1},
            "pointwise": {"kernel_size": 1},
            "pointwise_stride": {"kernel_size": 1, "stride": 2},
            "even_same": {"kernel_size": 4, "padding": "same"},
            "even_same_lower": {"kernel_size": 4, "padding": "same_lower"},
            "same_stride": {"kernel_size": 2, "padding": "same_upper", "stride": 3},
            "valid": {"padding": "valid"},
            "full": {"padding": "full"},
            "asymmetric": {"padding": ((1, 2), (0, 3), (2, 0))[:rank]},
            "wide_padding": {"padding": 4, "stride": 2},
            "whole_input": {"kernel_size": SIZES[rank]},
        }
        for name, fields in options.items():
            yield layer_case(f"{name}-{rank}d", _conv_layer(fields), shape)
        for border in BORDERS:
            fields = {"padding_mode": border, "padding": ((2, 1), (1, 2), (1, 0))[:rank]}
            yield layer_case(f"{border}-{rank}d", _conv_layer(fields), shape)
        yield layer_case(f"empty_batch-{rank}d", _conv_layer({}), (0, 4, *SIZES[rank]))
        last = (2, *SIZES[rank], 4)
        fields = {"padding": 1, "groups": 2}
        yield layer_case(f"last-{rank}d", _conv_layer(fields), last, layout="channels_last")


def _special_convs() -> Iterator[Case]:
    yield layer_case("causal", _conv_layer({"padding": "causal", "dilation": 3}), (2, 4, 13))
    yield layer_case("long_kernel", cs.Conv(1, 300, padding="same"), (1, 1, 2000), special=True)
    yield layer_case("special", _conv_layer({"padding": 1}), (2, 4, 9, 8), special=True)


def _conv_types() -> Iterator[Case]:
    mixed = _conv_layer({"padding": ((2, 1), (0, 3)), "stride": (2, 1), "groups": 2})
    for dtype in DTYPES:
        yield layer_case("types", mixed, (2, 4, 9, 8), dtype=dtype)
        yield layer_case("types-1x1", cs.Conv(3, 1), (2, 4, 9, 8), dtype=dtype)
        yield layer_case(
            "types-reflect",
            _conv_layer({"padding": 1, "padding_mode": "reflect"}),
            (2, 4, 9),
            dtype=dtype,
        )
    for x, weight in (
        ("float32", "float64"),
        ("int8", "float32"),
        ("uint8", "int8"),
        ("int16", "int64"),
        ("bfloat16", "float32"),
        ("float32", "complex64"),
    ):
        dtypes = {"conv1.weight": weight, "conv1.bias": weight}
        yield layer_case(f"types-{weight}", mixed, (2, 4, 9, 8), dtype=x, dtypes=dtypes)


def _conv_layer(fields: dict[str, Any]) -> cs.Conv:
    return cs.Conv(**{"out_channels": 6, "kernel_size": 3} | fields)


def _conv_transpose() -> Iterator[Case]:
    for rank in RANKS:
        shape = (2, 4, *(size // 2 + 1 for size in SIZES[rank]))
        options: dict[str, dict[str, Any]] = {
            "plain": {},
            "no_bias": {"bias": False},
            "stride": {"stride": 2, "padding": 1},
            "output_padding": {"stride": 3, "output_padding": (2, 1, 1)[:rank]},
            "output_size": {"stride": 2, "output_size": tuple(2 * size + 2 for size in shape[2:])},
            "dilation": {"dilation": 2, "output_padding": 1},
            "groups": {"groups": 2, "stride": 2},
            "depthwise": {"groups": 4, "out_channels": 4, "stride": 2, "kernel_size": 4},
            "valid": {"padding": "valid", "stride": 2},
            "same": {"padding": "same", "stride": 2},
            "same_lower": {"padding": "same_lower", "stride": 2, "kernel_size": 4},
            "same_gap": {"padding": "same", "stride": 3, "kernel_size": 2},
            "asymmetric": {"padding": ((1, 2), (0, 1), (2, 0))[:rank], "stride": 2},
            "pointwise": {"kernel_size": 1},
        }
        for name, fields in options.items():
            yield layer_case(f"{name}-{rank}d", _transpose_layer(fields), shape)
        yield layer_case(f"empty_batch-{rank}d", _transpose_layer({}), (0, *shape[1:]))
    fields = {"stride": 2, "groups": 2, "padding": ((1, 0), (0, 1)), "output_padding": (0, 1)}
    for dtype in DTYPES:
        yield layer_case("types", _transpose_layer(fields), (2, 4, 5, 4), dtype=dtype)
    yield layer_case("last", _transpose_layer(fields), (2, 5, 4, 4), layout="channels_last")


def _transpose_layer(fields: dict[str, Any]) -> cs.ConvTranspose:
    return cs.ConvTranspose(**{"out_channels": 6, "kernel_size": 3} | fields)


def _pools() -> Iterator[Case]:
    for rank in RANKS:
        shape = (2, 3, *SIZES[rank])
        options: dict[str, dict[str, Any]] = {
            "plain": {"kernel_size": 2},
            "stride": {"kernel_size": 3, "stride": 2, "padding": 1},
            "overlap": {"kernel_size": 3, "stride": 1, "padding": 1},
            "ceil": {"kernel_size": 3, "stride": 2, "ceil_mode": True},
            "ceil_padding": {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
            "ceil_clip": {"kernel_size": 2, "stride": 4, "padding": 1, "ceil_mode": True},
            "asymmetric": {
                "kernel_size": 4,
                "stride": 3,
                "padding": ((2, 1), (0, 2), (1, 0))[:rank],
            },
            "same": {"kernel_size": 2, "stride": 1, "padding": "same"},
            "same_lower": {"kernel_size": 3, "stride": 2, "padding": "same_lower"},
            "whole_input": {"kernel_size": SIZES[rank]},
        }
        for name, fields in options.items():
            yield layer_case(f"{name}-{rank}d", cs.MaxPool(**fields), shape)
            yield layer_case(f"{name}-{rank}d", cs.AvgPool(**fields), shape)
            real = cs.AvgPool(**fields, count_include_pad=False)
            yield layer_case(f"{name}-exclude-{rank}d", real, shape)
        dilated = cs.MaxPool(2, stride=2, padding=1, dilation=2)
        yield layer_case(f"dilation-{rank}d", dilated, shape)
        ceiled = cs.MaxPool(2, stride=3, dilation=2, ceil_mode=True)
        yield layer_case(f"dilation-ceil-{rank}d", ceiled, shape)


def _pools_of_any_batch() -> Iterator[Case]:
    for rank in RANKS:
        shape = (2, 3, *SIZES[rank])
        outside = cs.MaxPool(2, stride=1, padding=1, dilation=3)  # some windows hold only padding
        yield layer_case(f"outside-{rank}d", outside, (1, 2, *[2] * rank))
        yield layer_case(f"infinite-{rank}d", cs.MaxPool(1), shape, special=True)
        for layer in (
            cs.MaxPool(3, padding=1),
            cs.AvgPool(3, padding=1),
            cs.GlobalAvgPool(),
            cs.GlobalMaxPool(),
        ):
            yield layer_case(f"batch-{rank}d", layer, shape)
            yield layer_case(f"empty_batch-{rank}d", layer, (0, *shape[1:]))
            yield layer_case(f"special-{rank}d", layer, shape, special=True)
            last = (2, *SIZES[rank], 3)
            yield layer_case(f"last-{rank}d", layer, last, layout="channels_last")


def _pool_types() -> Iterator[Case]:
    for dtype in (*FLOATS, *INTEGERS):
        for maximum in (cs.MaxPool(3, stride=2, padding=1), cs.GlobalMaxPool()):
            yield layer_case(
                "types", maximum, (2, 3, 9, 8), dtype=dtype, integers=(-(2**60), 2**60)
            )
    for dtype in FLOATS:
        for mean in (cs.AvgPool(3, stride=2, padding=1, ceil_mode=True), cs.GlobalAvgPool()):
            yield layer_case("types", mean, (2, 3, 9, 8), dtype=dtype)


def _elementwise() -> Iterator[Case]:
    layers: tuple[Layer, ...] = (
        cs.ReLU(),
        cs.ReLU6(),
        cs.LeakyReLU(),
        cs.LeakyReLU(0.3),
        cs.GELU(),
        cs.SiLU(),
        cs.Sigmoid(),
        cs.Tanh(),
        cs.ELU(),
        cs.ELU(0.5),
        cs.Softplus(),
        cs.Softplus(3.0),
        cs.Softmax(),
        cs.BatchNorm(),
        cs.BatchNorm(1e-2),
        cs.BatchNorm(weight=False),
        cs.BatchNorm(bias=False),
        cs.BatchNorm(weight=False, bias=False),
        cs.Rescale(2.5, -0.5),
    )
    for number, layer in enumerate(layers):
        for rank in RANKS:
            yield layer_case(f"{number}-{rank}d", layer, (2, 3, *SIZES[rank]), spread=4.0)
        yield layer_case(f"{number}-empty_batch", layer, (0, 3, 5))
        yield layer_case(f"{number}-last", layer, (2, 4, 5, 3), layout="channels_last")
        yield from (layer_case(f"{number}-types", layer, (2, 3, 9), dtype=each) for each in FLOATS)
    for layer in (cs.ReLU(), cs.ReLU6(), cs.LeakyReLU(), cs.Sigmoid(), cs.Tanh(), cs.GELU()):
        yield layer_case("special", layer, (2, 3, 9), special=True)
    for dtype in INTEGERS:
        yield layer_case("types", cs.ReLU(), (2, 3, 9), dtype=dtype)
        yield layer_case("types", cs.ReLU6(), (2, 3, 9), dtype=dtype)


def _features() -> Iterator[Case]:
    for dtype in DTYPES:
        yield layer_case("types", cs.Dense(5), (3, 7), dtype=dtype)
        yield layer_case("types", cs.Flatten(), (2, 3, 4, 2), dtype=dtype)
    yield layer_case("no_bias", cs.Dense(5, bias=False), (3, 7))
    yield layer_case("empty_batch", cs.Dense(5), (0, 7))
    yield layer_case("softmax", cs.Softmax(), (3, 7))
    for rank in RANKS:
        yield layer_case(f"{rank}d", cs.Flatten(), (2, 3, *SIZES[rank]))
    yield layer_case("last", cs.Flatten(), (2, 4, 2, 3), layout="channels_last")
    yield layer_case("empty_batch", cs.Flatten(), (0, 3, 4))


def _rearranged() -> Iterator[Case]:
    for rank in RANKS:
        shape = (2, 8, *SIZES[rank])
        pads = ((2, 1), (0, 3), (1, 0))[:rank]
        layers: dict[str, Layer] = {
            **{border: cs.Pad(pads, mode=border) for border in BORDERS},
            "value": cs.Pad(pads, value=2.0),
            "scale": cs.Upsample((2, 3, 1)[:rank]),
            "shuffle": cs.PixelShuffle(2),
            "identity": cs.PixelShuffle(1),
        }
        for name, layer in layers.items():
            yield layer_case(f"{name}-{rank}d", layer, shape)
            yield layer_case(f"{name}-empty_batch-{rank}d", layer, (0, *shape[1:]))
            last = (2, *SIZES[rank], 8)
            yield layer_case(f"{name}-last-{rank}d", layer, last, layout="channels_last")
        even, unshuffle = (8, 6, 4)[:rank], cs.PixelUnshuffle(2)
        yield layer_case(f"unshuffle-{rank}d", unshuffle, (2, 3, *even))
        yield layer_case(f"empty_batch-{rank}d", unshuffle, (0, 3, *even))
        yield layer_case(f"last-{rank}d", unshuffle, (2, *even, 3), layout="channels_last")
    for dtype in DTYPES:
        for layer in (
            cs.Pad(1, value=1.0),
            cs.Pad(1, mode="circular"),
            cs.Upsample(2),
            cs.PixelShuffle(2),
            cs.PixelUnshuffle(2),
        ):
            mode = getattr(layer, "mode", "any")
            yield layer_case(f"types-{mode}", layer, (2, 4, 4, 6), dtype=dtype)


def _merges() -> Iterator[Case]:
    for rank in RANKS:
        shape = (2, 3, *SIZES[rank])
        yield layer_case(f"{rank}d", cs.Add(), shape, shape, shape)
        wider = (2, 5, *SIZES[rank])
        yield layer_case(f"{rank}d", cs.Concat(), shape, wider)
    for dtype in DTYPES:
        yield layer_case("types", cs.Concat(), (2, 3, 4), (2, 1, 4), dtype=dtype)
        if dtype != "bool":
            yield layer_case("types", cs.Add(), (2, 3, 4), (2, 3, 4), dtype=dtype)
    yield layer_case("wraps", cs.Add(), (2, 3, 40), (2, 3, 40), dtype="int8", integers=(-128, 127))
    last = {"layout": "channels_last"}
    yield layer_case("last", cs.Concat(), (2, 4, 5, 3), (2, 4, 5, 1), **last)
    yield layer_case("last", cs.Add(), (2, 4, 5, 3), (2, 4, 5, 3), **last)
    yield layer_case("empty_batch", cs.Add(), (0, 3, 4), (0, 3, 4))
