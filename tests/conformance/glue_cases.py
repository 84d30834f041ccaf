"""The cases of joins by broadcasting, other shapes, parts, reductions and plain functions."""

from __future__ import annotations

from collections.abc import Iterator

from convserve import layers as cs
from convserve.layers import Layer
from convserve.tensors import DTYPES

from tests.conformance.builders import layer_case
from tests.conformance.case import Case
from tests.conformance.layer_cases import FLOATS, INTEGERS, RANKS, SIZES

COMPLEX = ("complex64", "complex128")


def glue_cases() -> Iterator[Case]:
    """Every such kind with each of its options."""
    yield from _joins()
    yield from _moves()
    yield from _reductions()
    yield from _functions()
    yield from _functions_of_types()
    yield from _features()


def _joins() -> Iterator[Case]:
    kinds = (cs.Add(), cs.Mul(), cs.Sub(), cs.Div())
    for rank in RANKS:
        shape, gate = (2, 3, *SIZES[rank]), (2, 3, *[1] * rank)
        for layer in kinds:
            yield layer_case(f"equal-{rank}d", layer, shape, shape)
            yield layer_case(f"gate-{rank}d", layer, shape, gate)
            yield layer_case(f"both-{rank}d", layer, gate, (2, 1, *SIZES[rank]))
        for axis in range(1, rank + 2):
            wider = tuple(size + 2 * (at == axis) for at, size in enumerate(shape))
            yield layer_case(f"axis-{axis}-{rank}d", cs.Concat(axis=axis), shape, wider)
    yield layer_case("several", cs.Mul(), (2, 3, 4), (2, 1, 4), (2, 3, 1))
    yield layer_case("end", cs.Concat(axis=-1), (2, 3, 4), (2, 3, 2))
    for layer in kinds:
        yield layer_case("gate-empty_batch", layer, (0, 3, 4), (0, 3, 1))
        yield layer_case("tail", layer, (2, 4, 5, 3), (2, 1, 1, 3), layout="channels_last")
    for dtype in DTYPES:
        for layer in kinds:
            floats = dtype in (*FLOATS, *COMPLEX)
            if dtype != "bool" and (floats or not isinstance(layer, cs.Div)):
                yield layer_case("gate", layer, (2, 3, 4), (2, 3, 1), dtype=dtype)


def _moves() -> Iterator[Case]:
    for rank in RANKS:
        shape, last = (2, 6, *SIZES[rank]), (2, *SIZES[rank], 6)
        back = (*range(2, rank + 2), 1)
        layers: dict[str, Layer] = {
            "channels_last": cs.Permute(back),
            "still": cs.Permute(range(1, rank + 2)),
            "split": cs.Reshape((2, 3, *SIZES[rank])),
            "rows": cs.Reshape((6, -1)),
            "flat": cs.Reshape(-1),
            "channels": cs.Slice(1, 1, 5, 2),
            "inner": cs.Slice(2, 1, -1),
            "end": cs.Slice(-1, -3),
            "steps": cs.Slice(-1, step=2),
        }
        for name, layer in layers.items():
            yield layer_case(f"{name}-{rank}d", layer, shape)
            yield layer_case(f"{name}-empty_batch-{rank}d", layer, (0, *shape[1:]))
            yield layer_case(f"{name}-last-{rank}d", layer, last, layout="channels_last")
    for dtype in DTYPES:
        for layer in (cs.Permute((2, 3, 1)), cs.Reshape((-1, 2)), cs.Slice(2, 1)):
            yield layer_case("types", layer, (2, 4, 3, 5), dtype=dtype)


def _reductions() -> Iterator[Case]:
    for rank in RANKS:
        shape, last = (2, 3, *SIZES[rank]), (2, *SIZES[rank], 3)
        groups = {"space": tuple(range(2, rank + 2)), "channels": (1,), "last": (-1,)}
        for name, axes in groups.items():
            for keepdims in (True, False):
                for kind in (cs.ReduceMean, cs.ReduceMax, cs.ReduceSum):
                    layer, at = kind(axes, keepdims), f"{name}-{'kept' if keepdims else 'gone'}"
                    yield layer_case(f"{at}-{rank}d", layer, shape)
                    if rank == 2 or (name, keepdims) == ("space", True):
                        yield layer_case(f"{at}-empty_batch-{rank}d", layer, (0, *shape[1:]))
                        yield layer_case(f"{at}-end-{rank}d", layer, last, layout="channels_last")
    yield layer_case("all", cs.ReduceMax((1, 2, 3)), (2, 3, 4, 5), special=True)
    yield layer_case("special", cs.ReduceMax(-1), (2, 3, 4, 5), special=True)
    for dtype in FLOATS:
        yield layer_case("types", cs.ReduceMean((2, 3)), (2, 3, 4, 5), dtype=dtype)
    for dtype in (*FLOATS, *INTEGERS):
        yield layer_case("types", cs.ReduceMax((2, 3)), (2, 3, 4, 5), dtype=dtype)
    for dtype in (*FLOATS, *INTEGERS, *COMPLEX):
        yield layer_case("types", cs.ReduceSum((1, 3)), (2, 3, 4, 5), dtype=dtype)


def _functions() -> Iterator[Case]:
    for number, layer in enumerate(_all_functions()):
        for rank in RANKS:
            yield layer_case(f"{number}-{rank}d", layer, (2, 3, *SIZES[rank]), spread=4.0)
        yield layer_case(f"{number}-empty_batch", layer, (0, 3, 5))
        yield layer_case(f"{number}-last", layer, (2, 4, 5, 3), layout="channels_last")
        yield layer_case(f"{number}-special", layer, (2, 3, 9), special=True)
        yield layer_case(f"{number}-features", layer, (2, 9))
        yield from (layer_case(f"{number}-types", layer, (2, 3, 9), dtype=each) for each in FLOATS)


def _all_functions() -> tuple[Layer, ...]:
    return (
        cs.HardSigmoid(),
        cs.HardSigmoid(0.2, 0.4),
        cs.HardSwish(),
        cs.Mish(),
        cs.PReLU(),
        cs.Clip(-1.0, 1.5),
        cs.Clip(low=0.25),
        cs.Clip(high=0.25),
        cs.Clip(),
        cs.Exp(),
        cs.Sqrt(),
        cs.Power(2.0),
        cs.Power(-0.5),
        cs.Abs(),
        cs.Log(),
        cs.Erf(),
        cs.Softmax(-1),
    )


def _functions_of_types() -> Iterator[Case]:
    for dtype in INTEGERS:
        yield layer_case("types", cs.Clip(1, 5), (2, 3, 9), dtype=dtype)
        yield layer_case("types", cs.Abs(), (2, 3, 9), dtype=dtype)


def _features() -> Iterator[Case]:
    """Dense layers and softmax along the last of several axes."""
    for rank in RANKS:
        shape = (2, 3, *SIZES[rank])
        yield layer_case(f"{rank}d", cs.Dense(5), shape)
        yield layer_case(f"no_bias-{rank}d", cs.Dense(5, bias=False), shape)
        for axis in range(1, rank + 2):
            yield layer_case(f"axis-{axis}-{rank}d", cs.Softmax(axis), shape)
    for dtype in DTYPES:
        yield layer_case("rows", cs.Dense(5), (2, 3, 7), dtype=dtype)
