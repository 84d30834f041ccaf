"""The cases of normalisation by the input's own statistics, and of scales."""

from __future__ import annotations

from collections.abc import Iterator

from convserve import layers as cs
from convserve.layers import Layer

from tests.conformance.builders import layer_case
from tests.conformance.case import Case
from tests.conformance.layer_cases import FLOATS, RANKS, SIZES


def norm_cases() -> Iterator[Case]:
    """Every such kind with each of its options."""
    for number, layer in enumerate(_layers()):
        for rank in RANKS:
            yield layer_case(f"{number}-{rank}d", layer, (2, 4, *SIZES[rank]))
        yield layer_case(f"{number}-empty_batch", layer, (0, 4, 5))
        yield layer_case(f"{number}-last", layer, (2, 3, 5, 4), layout="channels_last")
        yield from (layer_case(f"{number}-types", layer, (2, 4, 9), dtype=each) for each in FLOATS)
    for axes in (2, 3):
        yield layer_case(f"{axes}-axes", cs.LayerNorm(axes), (2, 4, 5, 3))
    for layer in (cs.LocalResponseNorm(3), cs.LayerNorm(), cs.GroupNorm(2), cs.Scale()):
        yield layer_case("features", layer, (3, 8))
    for dtype in ("complex64", "complex128"):
        yield layer_case("types", cs.Scale(), (2, 4, 9), dtype=dtype)


def _layers() -> tuple[Layer, ...]:
    return (
        cs.LocalResponseNorm(5),
        cs.LocalResponseNorm(3, 0.1, 0.5, 2.0),
        cs.LocalResponseNorm(2, 1.0),
        cs.LocalResponseNorm(1, 1.0),
        cs.LocalResponseNorm(12, 1.0),
        cs.LocalResponseNorm(2, 1.0, before=0),
        cs.LocalResponseNorm(3, 1.0, before=2),
        cs.LayerNorm(),
        cs.LayerNorm(2, 1e-2),
        cs.LayerNorm(affine=False),
        cs.GroupNorm(2),
        cs.GroupNorm(1, 1e-2),
        cs.GroupNorm(4, affine=False),
        cs.InstanceNorm(),
        cs.InstanceNorm(1e-2, affine=True),
        cs.Scale(),
        cs.Scale(bias=False),
        cs.Scale(axis=-1),
        cs.Scale(bias=False, axis=2),
    )
