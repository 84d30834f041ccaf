"""Pools of every kind by our own kernels: against the reference, on a host device."""

from typing import Any

import numpy as np
import pytest
from convserve import layers as cs
from convserve.errors import InvalidArgumentError
from convserve.layers import Layer
from convserve.networks import Network
from convserve.tensors import Array
from convserve_server.engines.cuda.lowering import lower
from convserve_server.engines.cuda.recipe import OnHost, Recipe
from convserve_server.engines.reference.engine import ReferenceEngine
from convserve_server.planning.program import Work

from tests.conformance.builders import layer_case
from tests.conformance.case import Case, check_case
from tests.fakes.host_device import HostPlans
from tests.recipes import RecipeEngine, structs_of

PLANS = HostPlans()
FLOATS = ("float16", "bfloat16", "float32", "float64")
INTEGERS = ("int8", "uint8", "int64", "uint64")
GLOBAL: tuple[Layer, ...] = (cs.GlobalAvgPool(), cs.GlobalMaxPool(), cs.GlobalLpPool(3))
WINDOWED: tuple[Layer, ...] = (
    cs.MaxPool(3, 2, 1),
    cs.AvgPool(3, 2, 1),
    cs.AvgPool((2, 3), 1, 1, count_include_pad=False, dilation=2),
)


@pytest.fixture(scope="module")
def engine() -> RecipeEngine:
    return RecipeEngine(PLANS)


def structs(case: Case, layout: str = "channels_first") -> list[str]:
    return structs_of(lower(case.compile(), PLANS, {"input": layout}))


def uses_host(recipe: Recipe) -> bool:
    return any(isinstance(command, OnHost) for command in recipe.commands)


def test_a_window_longer_than_32_bits_is_left_to_the_host() -> None:
    size = 2**31 - 1
    for kind in (cs.MaxPool, cs.AvgPool, cs.MaxPoolIndices):
        far = layer_case("far", kind(size, size, size - 1), (1, 1, 10))
        near = layer_case("near", kind(size, size, size // 2), (1, 1, 10))
        assert uses_host(lower(far.compile(), PLANS, {}))
        assert not uses_host(lower(near.compile(), PLANS, {}))


@pytest.mark.parametrize("layer", WINDOWED, ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("special", [False, True])
def test_packs_of_channels(engine: RecipeEngine, layer: Layer, dtype: str, special: bool) -> None:
    options: dict[str, Any] = {"dtype": dtype, "layout": "channels_last", "special": special}
    whole = layer_case("packs", layer, (2, 7, 6, 16), **options)
    odd = layer_case("odd", layer, (2, 7, 6, 5), **options)
    assert structs(whole, "channels_last")[0] == f"Packed{type(layer).__name__}"
    assert structs(odd, "channels_last")[0] == type(layer).__name__
    check_case(engine, whole)
    check_case(engine, odd)


@pytest.mark.parametrize("start", [0, 1, 8])
@pytest.mark.parametrize("layer", [*WINDOWED, *GLOBAL, cs.AdaptiveAvgPool((2, 4))])
def test_some_channels_of_a_tensor(engine: RecipeEngine, layer: Layer, start: int) -> None:
    part = cs.Slice(1, start, start + 8)
    case = Case(
        name="part",
        work=Network([part, cs.Slice(2, 1, None, 2), layer]),
        inputs={"input": (2, 13, 6, 17)},
        layout="channels_last",
    )
    check_case(engine, case)


@pytest.mark.parametrize("layer", GLOBAL, ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("shape", [(1, 1, 40_000), (2, 3, 101, 99), (0, 3, 5000)])
@pytest.mark.parametrize("special", [False, True])
def test_long_reductions_are_made_in_parts(
    engine: RecipeEngine, layer: Layer, shape: tuple[int, ...], special: bool
) -> None:
    case = layer_case("long", layer, shape, special=special and 0 not in shape)
    launches = [each for each in structs(case) if each.endswith("Rows")]
    assert len(launches) > 1 or 0 in shape
    check_case(engine, case)


@pytest.mark.parametrize("dtype", FLOATS)
def test_long_sums_of_any_type(engine: RecipeEngine, dtype: str) -> None:
    for layer in GLOBAL:
        check_case(engine, layer_case("long-types", layer, (2, 1, 5000), dtype=dtype))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_long_maxima_of_integers_are_exact(engine: RecipeEngine, dtype: str) -> None:
    limits = (-(2**62), 2**62)
    check_case(
        engine, layer_case("long", cs.GlobalMaxPool(), (1, 2, 5000), dtype=dtype, integers=limits)
    )


def test_powers_of_large_numbers_do_not_overflow(engine: RecipeEngine) -> None:
    for layer in (cs.LpPool(2), cs.GlobalLpPool(4)):
        check_case(engine, layer_case("large", layer, (2, 3, 8), spread=1e30))


@pytest.mark.parametrize("kind", [cs.AdaptiveAvgPool, cs.AdaptiveMaxPool])
@pytest.mark.parametrize("parts", [(2, 3), (150, 1), (1, 2)])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_long_parts_are_pooled_axis_by_axis(
    engine: RecipeEngine, kind: Any, parts: tuple[int, int], dtype: str
) -> None:
    case = layer_case("long", kind(parts), (1, 2, 150, 251), dtype=dtype)
    launches = [each for each in structs(case) if each == kind.__name__]
    assert len(launches) == (1 if parts == (150, 1) else 2)
    check_case(engine, case)


@pytest.mark.parametrize("scope", ["plane", "sample"])
@pytest.mark.parametrize("column_major", [False, True])
def test_numbers_of_maxima(engine: RecipeEngine, scope: str, column_major: bool) -> None:
    layer = cs.MaxPoolIndices((2, 3, 2), 1, 1, scope=scope, column_major=column_major)
    check_case(engine, layer_case(f"{scope}-{column_major}", layer, (2, 3, 4, 5, 6)))
    special = layer_case("special", layer, (2, 3, 4, 5, 6), special=True)
    check_case(engine, special)
    outside = cs.MaxPoolIndices(2, 1, 1, 3, scope=scope, column_major=column_major)
    check_case(engine, layer_case("outside", outside, (1, 2, 2, 2)))


def unpooling(scope: str, dtype: str) -> Work:
    network = Network(
        [cs.MaxUnpool(2, name="unpool", inputs=("x", "at"), scope=scope)], inputs=("x", "at")
    )
    shapes = {"x": (2, 3, 4), "at": (2, 3, 4)}
    return Case(name="unpool", work=network, inputs=shapes, dtypes={"at": dtype}).compile()


def unpooled(engine: Any, work: Work, indices: Array) -> Array:
    x = np.arange(1, 25, dtype=np.float32).reshape(2, 3, 4)
    y = np.full((2, 3, 8), np.nan, np.float32)
    engine.run(work, {"x": x, "at": indices}, {"unpool": y})
    return y


@pytest.mark.parametrize("scope", ["plane", "sample"])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "uint64"])
def test_the_last_value_for_a_place_stays(engine: RecipeEngine, scope: str, dtype: str) -> None:
    size = 8 if scope == "plane" else 24
    indices = np.random.default_rng(7).integers(0, size, (2, 3, 4)) // 5 * 5
    work = unpooling(scope, dtype)
    expected = unpooled(ReferenceEngine(), work, indices.astype(dtype))
    np.testing.assert_array_equal(unpooled(engine, work, indices.astype(dtype)), expected)


@pytest.mark.parametrize(("scope", "index"), [("plane", 8), ("sample", 24), ("plane", -1)])
def test_an_index_outside_is_an_error(engine: RecipeEngine, scope: str, index: int) -> None:
    indices = np.zeros((2, 3, 4), np.int64)
    indices[1, 2, 1] = index
    work = unpooling(scope, "int64")
    with pytest.raises(InvalidArgumentError) as expected:
        unpooled(ReferenceEngine(), work, indices)
    with pytest.raises(InvalidArgumentError) as raised:
        unpooled(engine, work, indices)
    assert str(raised.value) == str(expected.value)
    assert raised.value.metadata == expected.value.metadata
