"""Random layers in words, by seed: of every kind, mode and rank that frameworks have."""

from __future__ import annotations

import random

from convserve.tensors import Shape
from convserve_server.planning.dialects.words import NO_PADDING, POOLS, TRANSPOSED, Words

KINDS = ("conv", "conv", "depthwise_conv", TRANSPOSED, "max_pool", "avg_pool", "signal")
MODES = ("valid", "same", "same_lower", "causal")
LARGEST_SIZE = {1: 24, 2: 12, 3: 8}


def random_words(rng: random.Random) -> tuple[Words, Shape]:
    """A layer and one sample's shape (C, *L); many of them are impossible somewhere."""
    kind = rng.choice(KINDS)
    rank = rng.choice((1, 1, 2, 3))
    lengths = tuple(rng.randint(1, LARGEST_SIZE[rank]) for _ in range(rank))
    if kind == "signal":
        return _signal(rng), (1, lengths[0])
    groups = rng.choice((1, 1, 2)) if kind in ("conv", TRANSPOSED) else 1
    channels = groups * rng.randint(1, 2)
    words = Words(
        kind=kind,
        kernel_size=_numbers(rng, rank, 1, 5),
        stride=_numbers(rng, rank, 1, 3),
        dilation=_numbers(rng, rank, 1, 2) if rng.random() < 0.3 and kind != "avg_pool" else (1,),
        padding=_padding(rng, kind, rank),
        output_padding=_output_padding(rng, kind, rank),
        in_channels=channels,
        out_channels=groups * rng.randint(1, 2),
        groups=groups,
        bias=False,
        ceil_mode=kind in POOLS and rng.random() < 0.3,
        count_include_pad=rng.random() < 0.5,
    )
    return words.spread(rank), (channels, *lengths)


def _signal(rng: random.Random) -> Words:
    mode = rng.choice(("full", "same", "valid"))
    kernel = (rng.randint(1, 9),)
    one = {"in_channels": 1, "out_channels": 1, "bias": False}
    return Words(kind="conv", kernel_size=kernel, padding=mode, **one).spread(1)


def _numbers(rng: random.Random, rank: int, low: int, high: int) -> tuple[int, ...]:
    if rng.random() < 0.4:
        return (rng.randint(low, high),) * rank
    return tuple(rng.randint(low, high) for _ in range(rank))


def _padding(rng: random.Random, kind: str, rank: int) -> str | tuple[tuple[int, int], ...]:
    if rng.random() < 0.4:
        modes = MODES if rank == 1 and kind not in (*POOLS, TRANSPOSED) else MODES[:3]
        return rng.choice(modes)
    if rng.random() < 0.3:
        return NO_PADDING
    if rng.random() < 0.3:
        return tuple((rng.randint(0, 2), rng.randint(0, 2)) for _ in range(rank))
    return tuple((number, number) for number in _numbers(rng, rank, 0, 2))


def _output_padding(rng: random.Random, kind: str, rank: int) -> tuple[int, ...] | None:
    if kind != TRANSPOSED or rng.random() < 0.5:
        return None
    return _numbers(rng, rank, 0, 2)
