"""Random networks by seed: chains, residual blocks, branches that meet and skips.

On integers in float64 every value stays exact, so that two ways to compute a network agree bit by
bit. What makes fractions comes last: there each result is made of exact numbers, in one way.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from attrs import frozen
from convserve import layers as cs
from convserve.errors import ConvserveError
from convserve.layers import Layer
from convserve.networks import Network
from convserve.tensors import Shape

from tests.planning import plan

BLOCKS = 3
LARGEST_SIZE = {1: 200, 2: 48, 3: 18}
BORDERS = (*("zeros", "reflect", "replicate") * 4, "circular")


@frozen
class Place:
    """Where a block begins: the layer that it reads, its channels and rank, a name for its own."""

    source: str
    channels: int
    rank: int
    name: str


Block = Callable[[random.Random, Place], Sequence[Layer]]


def random_network(rng: random.Random, rank: int | None = None) -> tuple[Network, Shape]:
    """A network of up to BLOCKS + 1 blocks, and the shape of its input."""
    rank = rank or rng.choice((1, 1, 2, 2, 2, 3))
    largest = LARGEST_SIZE[rank]
    sizes = (rng.randint(largest // 2, largest) for _ in range(rank))
    shape = (rng.randint(1, 2), rng.randint(1, 3), *sizes)
    layers: list[Layer] = [cs.ReLU(name="start")]
    for index in range(BLOCKS):
        layers = _extended(rng, layers, shape, rng.choice(EXACT_BLOCKS), f"b{index}")
    return Network(_extended(rng, layers, shape, rng.choice(LAST_BLOCKS), "last")), shape


def _extended(
    rng: random.Random, layers: list[Layer], shape: Shape, block: Block, name: str
) -> list[Layer]:
    """The layers with one more block, or as they are where it does not fit."""
    channels, *sizes = plan(layers, shape).outputs[0].shape[1:]
    place = Place(str(layers[-1].name), channels, len(sizes), name)
    longer = [*layers, *block(rng, place)]
    try:
        planned = plan(longer, shape)
    except ConvserveError:
        return layers
    return longer if max(planned.outputs[0].shape[2:]) <= 2 * LARGEST_SIZE[place.rank] else layers


def _windows(rng: random.Random, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A kernel and a stride."""
    return (
        tuple(rng.randint(1, 4) for _ in range(rank)),
        tuple(rng.choice((1, 1, 1, 2, 2, 3)) for _ in range(rank)),
    )


def _pads(rng: random.Random, limits: Sequence[int]) -> tuple[tuple[int, int], ...]:
    return tuple((rng.randint(0, limit), rng.randint(0, limit)) for limit in limits)


def _conv(rng: random.Random, at: Place) -> Sequence[Layer]:
    kernel, stride = _windows(rng, at.rank)
    layer = cs.Conv(
        rng.randint(1, 3),
        kernel,
        stride,
        _pads(rng, [3] * at.rank),
        rng.randint(1, 2),
        padding_mode=rng.choice(BORDERS),
        name=at.name,
        inputs=at.source,
    )
    return [layer]


def _composed(rng: random.Random, at: Place) -> Sequence[Layer]:
    """A convolution in other words."""
    kernel, stride = _windows(rng, at.rank)
    numbers = (kernel, stride, _pads(rng, [3] * at.rank), rng.randint(1, 2))
    options: dict[str, str] = {
        "padding_mode": rng.choice(BORDERS), "name": at.name, "inputs": at.source
    }  # fmt: skip
    kernel, *others = numbers
    return [
        rng.choice(
            (
                cs.DepthwiseConv(*numbers, depth_multiplier=rng.randint(1, 2), **options),
                cs.SeparableConv(2, *numbers, **options),
                cs.SubPixelConv(2, kernel, 2, *others, **options),
            )
        )
    ]


def _transposed(rng: random.Random, at: Place) -> Sequence[Layer]:
    kernel, stride = _windows(rng, at.rank)
    extra = tuple(rng.randint(0, s - 1) for s in stride)
    pads = _pads(rng, [2] * at.rank)
    dilation = rng.randint(1, 2)
    return [
        cs.ConvTranspose(2, kernel, stride, pads, extra, dilation, name=at.name, inputs=at.source)
    ]


def _max_pool(rng: random.Random, at: Place) -> Sequence[Layer]:
    kernel, stride = _windows(rng, at.rank)
    pads = _pads(rng, [k // 2 for k in kernel])
    ceil_mode, dilation = rng.random() < 0.5, rng.randint(1, 2)
    return [cs.MaxPool(kernel, stride, pads, dilation, ceil_mode, name=at.name, inputs=at.source)]


def _avg_pool(rng: random.Random, at: Place) -> Sequence[Layer]:
    kernel, stride = _windows(rng, at.rank)
    pads = _pads(rng, [k // 2 for k in kernel])
    flags = rng.random() < 0.5, rng.random() < 0.5
    options: dict[str, object] = {"name": at.name, "inputs": at.source}
    return [cs.AvgPool(kernel, stride, pads, *flags, dilation=rng.randint(1, 2), **options)]


def _move(rng: random.Random, at: Place) -> Sequence[Layer]:
    """A layer that moves elements."""
    mode = rng.choice(BORDERS)
    options: dict[str, object] = {"name": at.name, "inputs": at.source}
    return [
        rng.choice(
            (
                cs.Pad(_pads(rng, [3] * at.rank), mode, 2.0 * (mode == "zeros"), **options),
                cs.Upsample(rng.randint(1, 3), **options),
                cs.PixelUnshuffle(2, **options),
            )
        )
    ]


def _shuffle(rng: random.Random, at: Place) -> Sequence[Layer]:
    return [
        cs.Conv(2**at.rank, 1, name=f"{at.name}a", inputs=at.source),
        cs.PixelShuffle(2, name=at.name),
    ]


def _residual(rng: random.Random, at: Place) -> Sequence[Layer]:
    return [
        cs.Conv(2, 3, padding="same", name=f"{at.name}a", inputs=at.source),
        cs.ReLU(name=f"{at.name}b"),
        cs.Conv(at.channels, 3, padding="same", name=f"{at.name}c"),
        cs.Add(name=at.name, inputs=(at.source, f"{at.name}c")),
    ]


def _shrinking(rng: random.Random, at: Place) -> Sequence[Layer]:
    """A residual block with stride 2, as in ResNet."""
    return [
        cs.Conv(3, 3, 2, 1, name=f"{at.name}a", inputs=at.source),
        cs.Conv(3, 1, 2, name=f"{at.name}b", inputs=at.source),
        cs.Add(name=at.name, inputs=(f"{at.name}a", f"{at.name}b")),
    ]


def _branches(rng: random.Random, at: Place) -> Sequence[Layer]:
    names = tuple(f"{at.name}{kernel}" for kernel in (1, 3, 4))
    convs = (
        cs.Conv(1, kernel, padding="same", name=name, inputs=at.source)
        for kernel, name in zip((1, 3, 4), names, strict=True)
    )
    return [*convs, cs.Concat(name=at.name, inputs=names)]


def _skip(rng: random.Random, at: Place) -> Sequence[Layer]:
    """Down and up again, beside what stays, as in U-Net; fits even sizes only."""
    up = rng.choice(
        (cs.Upsample(2, name=f"{at.name}c"), cs.ConvTranspose(2, 2, 2, name=f"{at.name}c"))
    )
    return [
        cs.MaxPool(2, name=f"{at.name}a", inputs=at.source),
        cs.Conv(2, 3, padding="same", name=f"{at.name}b"),
        up,
        cs.Concat(name=at.name, inputs=(at.source, f"{at.name}c")),
    ]


def _elementwise(rng: random.Random, at: Place) -> Sequence[Layer]:
    kind = rng.choice((cs.ReLU, cs.ReLU6, cs.LeakyReLU, cs.BatchNorm))
    return [kind(name=at.name, inputs=at.source)]


def _sum_pool(rng: random.Random, at: Place) -> Sequence[Layer]:
    """A norm that stays whole: the sum of absolute values."""
    kernel, stride = _windows(rng, at.rank)
    pads, dilation = _pads(rng, [k - 1 for k in kernel]), rng.randint(1, 2)
    ceil_mode = rng.random() < 0.5
    options: dict[str, object] = {"name": at.name, "inputs": at.source}
    return [cs.LpPool(kernel, stride, pads, dilation, ceil_mode, 1, **options)]


def _gate(rng: random.Random, at: Place) -> Sequence[Layer]:
    """The largest of the channels, taken from each of them; and a part of them."""
    first = f"{at.name}b"
    return [
        cs.ReduceMax(1, name=f"{at.name}a", inputs=at.source),
        cs.Sub(name=first, inputs=(at.source, f"{at.name}a")),
        cs.Slice(1, rng.randint(0, at.channels - 1), name=at.name),
    ]


EXACT_BLOCKS: tuple[Block, ...] = (
    _conv, _composed, _transposed, _max_pool, _move, _shuffle, _residual, _shrinking, _branches,
    _skip, _sum_pool, _gate,
)  # fmt: skip
LAST_BLOCKS: tuple[Block, ...] = (_conv, _avg_pool, _avg_pool, _elementwise)
