"""Bounds of integer results: the device's numbers are judged as the reference judges values."""

import pytest
from convserve import layers as cs
from convserve.errors import InvalidArgumentError
from convserve.layers import Layer
from convserve.operations import ConvInputGradient, ConvWeightGradient
from convserve.tensors import Shape
from convserve_server.engines.base import Engine
from convserve_server.engines.cuda.lowering import lower
from convserve_server.engines.reference.engine import ReferenceEngine

from tests.conformance.builders import layer_case, operation_case
from tests.conformance.case import Case, reference_results, run_case
from tests.conformance.tolerances import assert_agree
from tests.fakes.host_device import HostPlans
from tests.recipes import RecipeEngine

SHAPE: Shape = (2, 4, 9, 8)
FAR = (-(2**62), 2**62)
LAYERS: dict[str, Layer] = {
    "conv": cs.Conv(6, 3, groups=2),
    "no_bias": cs.Conv(6, 3, bias=False),
    "transposed": cs.ConvTranspose(6, 3, groups=2),
    "dense": cs.Dense(5),
    "depthwise": cs.DepthwiseConv(3),
    "separable": cs.SeparableConv(5, 3),
}


@pytest.fixture(scope="module")
def engine() -> RecipeEngine:
    return RecipeEngine()


def error_of(engine: Engine, case: Case) -> InvalidArgumentError:
    with pytest.raises(InvalidArgumentError) as caught:
        run_case(engine, case)
    return caught.value


def check_error(engine: RecipeEngine, case: Case) -> None:
    """The same error but for the rounding of sums of numbers from 2**53 on."""
    actual, expected = error_of(engine, case), error_of(ReferenceEngine(), case)
    bounds = [error.metadata["bound"] for error in (actual, expected)]
    assert int(bounds[0]) == pytest.approx(int(bounds[1]), rel=1e-10)
    assert str(actual) == str(expected).replace(bounds[1], bounds[0])
    assert actual.field == expected.field


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "int64", "uint64"])
def test_too_large_values_are_refused(engine: RecipeEngine, name: str, dtype: str) -> None:
    check_error(engine, layer_case(f"far-{name}", LAYERS[name], SHAPE, dtype=dtype, integers=FAR))


def test_gradients_are_refused_too(engine: RecipeEngine) -> None:
    grad, weight = (2, 8, 7, 6), (8, 2, 3, 3)
    far = {"dtype": "int64", "integers": FAR}
    by_input = ConvInputGradient(input_shape=SHAPE, groups=2)
    check_error(engine, operation_case("far", by_input, grad, weight, **far))
    by_weight = ConvWeightGradient(3, groups=2)
    check_error(engine, operation_case("far", by_weight, SHAPE, grad, **far))


def test_values_of_many_are_all_looked_at(engine: RecipeEngine) -> None:
    """Of an input, a weight and sums that are looked at in several goes."""
    layer = cs.Conv(300, 3, stride=40, padding=1, bias=False)
    case = layer_case("many", layer, (1, 20, 260, 260), dtype="int16", integers=(-30000, 30000))
    check_error(engine, case)
    gradient = ConvWeightGradient(3)
    case = operation_case(
        "many", gradient, (1, 1, 9002), (1, 300, 9000), dtype="int32", integers=FAR
    )
    check_error(engine, case)


@pytest.mark.parametrize("dtype", ["int16", "int64", "uint64"])
def test_values_within_the_bound_are_exact(engine: RecipeEngine, dtype: str) -> None:
    limits = (-400, 400) if dtype == "int16" else (-(2**16), 2**16)
    for name, layer in LAYERS.items():
        case = layer_case(f"near-{name}", layer, SHAPE, dtype=dtype, integers=limits)
        assert lower(case.compile(), HostPlans(), {}).checks
        result = run_case(engine, case)
        for output, expected in reference_results(case).items():
            assert_agree(result.outputs[output], expected)


def test_types_that_leave_no_doubt_need_no_look() -> None:
    case = layer_case("certain", LAYERS["conv"], SHAPE, dtype="int8")
    assert not lower(case.compile(), HostPlans(), {}).checks
