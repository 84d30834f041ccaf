"""Normalisation by our own kernels: against the reference, on a host device."""

from typing import Any

import numpy as np
import pytest
from convserve import layers as cs
from convserve.layers import Layer
from convserve.networks import Network
from convserve_server.engines.cuda.lowering import lower
from convserve_server.engines.reference.engine import ReferenceEngine
from convserve_server.planning.program import work_outputs

from tests.conformance.builders import layer_case
from tests.conformance.case import Case, check_case
from tests.conformance.tolerances import assert_agree
from tests.fakes.host_device import HostPlans
from tests.recipes import RecipeEngine, structs_of

PLANS = HostPlans()
FLOATS = ("float16", "bfloat16", "float32", "float64")
NORMS: tuple[Layer, ...] = (
    cs.LayerNorm(),
    cs.LayerNorm(2),
    cs.LayerNorm(3),
    cs.GroupNorm(1),
    cs.GroupNorm(3),
    cs.InstanceNorm(affine=True),
)


@pytest.fixture(scope="module")
def engine() -> RecipeEngine:
    return RecipeEngine(PLANS)


def structs(case: Case) -> list[str]:
    return structs_of(lower(case.compile(), PLANS, {}))


@pytest.mark.parametrize("layer", NORMS, ids=str)
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_every_axis_and_layout(engine: RecipeEngine, layer: Layer, layout: str) -> None:
    shape = (2, 6, 3, 5, 4) if layout == "channels_first" else (2, 3, 5, 4, 6)
    check_case(engine, layer_case("axes", layer, shape, layout=layout))
    check_case(engine, layer_case("ones", layer, (2, 6, 1, 1, 4)))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "layer", [*NORMS[:4], cs.GroupNorm(6, affine=False), cs.InstanceNorm()], ids=str
)
def test_packs_of_channels(engine: RecipeEngine, layer: Layer, dtype: str) -> None:
    """24 channels are whole packs of any type, in which groups of 4 begin and end."""
    case = layer_case("packs", layer, (2, 3, 5, 24), dtype=dtype, layout="channels_last")
    assert any(name.startswith("PackedNormalise") for name in structs(case)), structs(case)
    check_case(engine, case)


@pytest.mark.parametrize("layer", [cs.GroupNorm(3), cs.GroupNorm(6), cs.LayerNorm()])
def test_features_without_positions(engine: RecipeEngine, layer: Layer) -> None:
    check_case(engine, layer_case("features", layer, (3, 6)))


@pytest.mark.parametrize("layer", NORMS, ids=str)
def test_a_nan_or_infinity_spoils_its_group(engine: RecipeEngine, layer: Layer) -> None:
    check_case(engine, layer_case("special", layer, (2, 6, 3, 4, 5), special=True))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("layer", "shape", "joins"),
    [
        (cs.LayerNorm(affine=False), (2, 10_000), 1),
        (cs.LayerNorm(2), (1, 3, 5000), 1),
        (cs.InstanceNorm(), (1, 2, 90, 101), 1),
        (cs.GroupNorm(2), (1, 8, 90, 101), 2),
        (cs.GroupNorm(2), (2, 2000), 2),
        (cs.GroupNorm(1), (1, 2, 600, 55), 2),
        (cs.LayerNorm(affine=False), (1, 20_000), 2),
    ],
    ids=str,
)
def test_long_statistics_are_made_in_parts(
    engine: RecipeEngine, layer: Layer, shape: tuple[int, ...], joins: int, dtype: str
) -> None:
    case = layer_case("long", layer, shape, dtype=dtype)
    assert structs(case).count("JoinedMoments") == joins
    check_case(engine, case)


@pytest.mark.parametrize("layer", [cs.GroupNorm(2), cs.GroupNorm(1), cs.LayerNorm(2)])
@pytest.mark.parametrize("start", [0, 3])
def test_some_channels_of_a_tensor(engine: RecipeEngine, layer: Layer, start: int) -> None:
    network = Network([cs.Slice(1, start, start + 4), layer])
    shape = (4,) if isinstance(layer, cs.GroupNorm) else (5, 6)
    name = network.layers[1].name
    case = Case(
        name=f"part-{start}",
        work=network,
        inputs={"input": (2, 5, 6, 9)},
        weights={f"{name}.weight": shape, f"{name}.bias": shape},
        layout="channels_last",
    )
    check_case(engine, case)


@pytest.mark.parametrize("layer", [cs.InstanceNorm(), cs.GroupNorm(1, affine=False)])
def test_a_large_mean_costs_no_digits(engine: RecipeEngine, layer: Layer) -> None:
    """Float32 numbers around 10^5 are 1/128 apart: what is subtracted must not be rounded more."""
    work = layer_case("large", layer, (1, 2, 3000)).compile()
    x = np.random.default_rng(3).normal(1e5, 1.0, (1, 2, 3000)).astype(np.float32)
    results = []
    for each in (engine, ReferenceEngine()):
        (spec,) = work_outputs(work)
        y = np.full(spec.shape, np.nan, np.float32)
        each.run(work, {"input": x}, {spec.name: y})
        results.append(y)
    assert_agree(*results)


@pytest.mark.parametrize("options", [{}, {"beta": 0.5, "before": 0}, {"k": 0.0, "alpha": 3.0}])
@pytest.mark.parametrize("dtype", FLOATS)
def test_sums_over_neighbouring_channels(
    engine: RecipeEngine, options: dict[str, Any], dtype: str
) -> None:
    layer = cs.LocalResponseNorm(4, **options)
    check_case(engine, layer_case("window", layer, (2, 7, 3, 4), dtype=dtype))
    check_case(engine, layer_case("special", layer, (2, 7, 12), special=True))


def test_weights_of_a_wider_type_widen_the_result(engine: RecipeEngine) -> None:
    case = Case(
        name="wider",
        work=Network([cs.GroupNorm(2, name="norm")]),
        inputs={"input": (2, 4, 9)},
        weights={"norm.weight": (4,), "norm.bias": (4,)},
        dtypes={"norm.weight": "float64", "norm.bias": "float64"},
    )
    check_case(engine, case)
