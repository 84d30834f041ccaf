"""The cases of pools beyond maxima and means of equal windows, and of resizing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convserve import layers as cs
from convserve.layers import Layer
from convserve.networks import Network
from convserve.tensors import DTYPES

from tests.conformance.builders import layer_case
from tests.conformance.case import Case
from tests.conformance.layer_cases import FLOATS, INTEGERS, RANKS, SIZES

COORDINATES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")


def pool_cases() -> Iterator[Case]:
    """Every such kind with each of its options."""
    yield from _dilated_means()
    yield from _padded_pools()
    yield from _norms()
    yield from _indices()
    yield from _unpools()
    yield from _adaptive_pools()
    yield from _resizes()
    yield from _resize_options()


def _dilated_means() -> Iterator[Case]:
    for rank in RANKS:
        shape = (2, 3, *SIZES[rank])
        options: dict[str, dict[str, Any]] = {
            "plain": {"stride": 1},
            "padding": {"stride": 2, "padding": 1},
            "ceil": {"stride": 2, "padding": 1, "ceil_mode": True},
            "exclude": {"stride": 1, "padding": 1, "count_include_pad": False},
        }
        for name, fields in options.items():
            layer = cs.AvgPool(**{"kernel_size": 2, "dilation": 2} | fields)
            yield layer_case(f"dilated-{name}-{rank}d", layer, shape)
            yield layer_case(f"dilated-{name}-{rank}d", layer, shape, dtype="float64")


def _padded_pools() -> Iterator[Case]:
    """The zeros of a layer before a pool count, unlike those that the pool adds."""
    for pool in (cs.MaxPool(3, 2), cs.AvgPool(3, 2, 1, count_include_pad=False), cs.LpPool(3)):
        for width in (1, 4):
            yield Case(
                name=f"pad-{width}-{type(pool).__name__}",
                work=Network([cs.Abs(), cs.Rescale(-1.0), cs.Pad(width), pool]),
                inputs={"input": (2, 3, 9, 8)},
            )


def _norms() -> Iterator[Case]:
    options: dict[str, dict[str, Any]] = {
        "plain": {},
        "one": {"p": 1},
        "odd": {"p": 3, "stride": 1},
        "padding": {"kernel_size": 3, "stride": 2, "padding": 1},
        "dilation": {"stride": 1, "dilation": 2, "padding": 1},
        "ceil": {"kernel_size": 3, "stride": 2, "ceil_mode": True},
        "same": {"padding": "same", "stride": 1},
    }
    for rank in RANKS:
        shape = (2, 3, *SIZES[rank])
        for name, fields in options.items():
            yield layer_case(f"{name}-{rank}d", cs.LpPool(**{"kernel_size": 2} | fields), shape)
        layers: tuple[Layer, ...] = (cs.LpPool(2), cs.GlobalLpPool(), cs.GlobalLpPool(3))
        for number, layer in enumerate(layers):
            yield layer_case(f"{number}-batch-{rank}d", layer, shape)
            yield layer_case(f"{number}-empty_batch-{rank}d", layer, (0, *shape[1:]))
            last = (2, *SIZES[rank], 3)
            yield layer_case(f"{number}-last-{rank}d", layer, last, layout="channels_last")
    for dtype in FLOATS:
        yield layer_case("types", cs.LpPool(3, padding=1), (2, 3, 9, 8), dtype=dtype)
        yield layer_case("types", cs.GlobalLpPool(), (2, 3, 9, 8), dtype=dtype)


def _indices() -> Iterator[Case]:
    for rank in RANKS:
        shape = (2, 3, *SIZES[rank])
        options: dict[str, dict[str, Any]] = {
            "plain": {},
            "padding": {"kernel_size": 3, "stride": 2, "padding": 1},
            "dilation": {"stride": 1, "dilation": 2},
            "ceil": {"kernel_size": 3, "stride": 2, "ceil_mode": True},
        }
        for name, fields in options.items():
            layer = cs.MaxPoolIndices(**{"kernel_size": 2} | fields)
            yield layer_case(f"{name}-{rank}d", layer, shape)
        yield layer_case(f"empty_batch-{rank}d", cs.MaxPoolIndices(2), (0, *shape[1:]))
        last = (2, *SIZES[rank], 3)
        yield layer_case(f"last-{rank}d", cs.MaxPoolIndices(2), last, layout="channels_last")
    for dtype in (*FLOATS, *INTEGERS):
        yield layer_case("types", cs.MaxPoolIndices(3, 2, 1), (2, 3, 9, 8), dtype=dtype)


def _unpools() -> Iterator[Case]:
    for scope in ("plane", "sample"):
        network = Network(
            [
                cs.MaxPool(3, 2, 1, name="pool", inputs="input"),
                cs.MaxPoolIndices(3, 2, 1, name="indices", inputs="input", scope=scope),
                cs.MaxUnpool(3, 2, 1, name="unpool", inputs=("pool", "indices"), scope=scope),
            ]
        )
        for rank in RANKS:
            odd = (9, 7, 5)[:rank]
            shape, last = (2, 3, *odd), (2, *odd, 3)
            yield Case(name=f"unpool-{scope}-{rank}d", work=network, inputs={"input": shape})
            yield Case(
                name=f"unpool-{scope}-last-{rank}d",
                work=network,
                inputs={"input": last},
                layout="channels_last",
            )
        for dtype in (*FLOATS, *INTEGERS):
            name = f"unpool-{scope}-{dtype}"
            yield Case(name=name, work=network, inputs={"input": (2, 3, 9, 7)}, dtype=dtype)
        empty = {"input": (0, 3, 9)}
        yield Case(name=f"unpool-{scope}-empty_batch", work=network, inputs=empty)


def _adaptive_pools() -> Iterator[Case]:
    for rank in RANKS:
        shape, last = (2, 3, *SIZES[rank]), (2, *SIZES[rank], 3)
        layers: dict[str, Layer] = {}
        for parts in (1, 4, (3, 4, 7)[:rank], (13, 8, 9)[:rank]):
            layers |= {f"avg-{parts}": cs.AdaptiveAvgPool(parts)}
            layers |= {f"max-{parts}": cs.AdaptiveMaxPool(parts)}
        for mode in ("max", "avg"):
            layers |= {f"{mode}-levels": cs.PyramidPool((1, 2, 3), mode)}
        for name, layer in layers.items():
            yield layer_case(f"{name}-{rank}d", layer, shape)
            yield layer_case(f"{name}-special-{rank}d", layer, shape, special=True)
            yield layer_case(f"{name}-empty_batch-{rank}d", layer, (0, *shape[1:]))
            yield layer_case(f"{name}-last-{rank}d", layer, last, layout="channels_last")
        yield layer_case(f"halves-{rank}d", cs.AdaptiveAvgPool(2), (2, 3, 8, 6, 4)[: 2 + rank])
        yield layer_case(f"halves-{rank}d", cs.AdaptiveMaxPool(2), (2, 3, 8, 6, 4)[: 2 + rank])
    for dtype in FLOATS:
        yield layer_case("types", cs.AdaptiveAvgPool(5), (2, 3, 9, 8), dtype=dtype)
        yield layer_case("types", cs.PyramidPool((1, 2), "avg"), (2, 3, 9, 8), dtype=dtype)
    for dtype in (*FLOATS, *INTEGERS):
        yield layer_case("types", cs.AdaptiveMaxPool(5), (2, 3, 9, 8), dtype=dtype)
        yield layer_case("types-max", cs.PyramidPool((1, 2)), (2, 3, 9, 8), dtype=dtype)


def _resizes() -> Iterator[Case]:
    """As PyTorch's interpolate has them, corners aligned and not."""
    for rank in RANKS:
        shape, last = (2, 3, *SIZES[rank]), (2, *SIZES[rank], 3)
        for name, layer in _torch_resizes(rank).items():
            yield layer_case(f"{name}-{rank}d", layer, shape)
            yield layer_case(f"{name}-empty_batch-{rank}d", layer, (0, *shape[1:]))
            yield layer_case(f"{name}-last-{rank}d", layer, last, layout="channels_last")
        one = cs.Upsample(size=1, mode="linear", align_corners=True)
        yield layer_case(f"one-{rank}d", one, shape)
        yield layer_case(f"from_one-{rank}d", cs.Upsample(3, "linear"), (2, 3, *[1] * rank))
    for dtype in FLOATS:
        for mode in ("linear", "cubic"):
            yield layer_case(f"types-{mode}", cs.Upsample(2, mode), (2, 3, 5, 4), dtype=dtype)
    for dtype in DTYPES:
        yield layer_case("types-size", cs.Upsample(size=(7, 3)), (2, 3, 5, 4), dtype=dtype)


def _torch_resizes(rank: int) -> dict[str, Layer]:
    sizes = (17, 5, 10)[:rank]
    found: dict[str, Layer] = {"nearest-size": cs.Upsample(size=sizes)}
    for mode in ("linear", "cubic") if rank < 3 else ("linear",):
        for corners in (False, True):
            name = f"{mode}-{'corners' if corners else 'centres'}"
            found |= {f"{name}-scale": cs.Upsample((2, 3, 2)[:rank], mode, corners)}
            found |= {f"{name}-size": cs.Upsample(None, mode, corners, size=sizes)}
    return found


def _resize_options() -> Iterator[Case]:
    """As ONNX's Resize has them."""
    for coordinates in COORDINATES:
        for rounding in ROUNDINGS:
            for size in (7, 3, 1):
                nearest = cs.Upsample(size=size, coordinates=coordinates, rounding=rounding)
                yield layer_case(f"{coordinates}-{rounding}-{size}", nearest, (2, 3, 5))
        linear = cs.Upsample(None, "linear", size=(10, 6), coordinates=coordinates)
        yield layer_case(f"{coordinates}-linear", linear, (2, 3, 4, 8))
        # ONNX's own cubic is no oracle in double precision: its weights are float32
        cubic = cs.Upsample(None, "cubic", size=(10, 6), coordinates=coordinates)
        yield layer_case(f"{coordinates}-cubic", cubic, (2, 3, 4, 8), dtype="float16")
    softer = cs.Upsample(2, "cubic", cubic_coefficient=-0.5)
    yield layer_case("coefficient", softer, (2, 3, 5, 4), dtype="float16")
