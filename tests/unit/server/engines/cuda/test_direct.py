"""Our own convolution kernels, where cuDNN has no plan: against the reference, on a host device."""

import pytest
from convserve import layers as cs
from convserve.layers import Layer
from convserve.layers.fields import BORDER_MODES
from convserve.networks import Network
from convserve.operations import ConvWeightGradient
from convserve_server.engines.cuda.lowering import lower
from convserve_server.engines.cuda.recipe import OnHost

from tests.conformance.builders import layer_case, operation_case
from tests.conformance.case import Case, check_case
from tests.conformance.cases import CASES
from tests.fakes.host_device import HostPlans
from tests.recipes import RecipeEngine, structs_of

PLANS = HostPlans(refuses=lambda graph: True)
CONVOLUTIONS = (
    "conv-",
    "conv_transpose-",
    "conv_input_gradient-",
    "conv_weight_gradient-",
    "dense-",
    "depthwise_conv-",
    "separable_conv-",
    "sub_pixel_conv-",
)
PADS = tuple(f"pad-{name}-" for name in (*BORDER_MODES, "types", "value"))
OTHERS = ("deform_conv-", "integer_conv-", "quantized_conv-", "graph_conv-")
OWN_KINDS = (*CONVOLUTIONS, *PADS, *OTHERS)
OWN_CASES = [case for case in CASES if case.name.startswith(OWN_KINDS)]
FLOATS = ("float16", "bfloat16", "float32")
ACTIVATIONS: tuple[Layer, ...] = (
    cs.ReLU(),
    cs.ReLU6(),
    cs.LeakyReLU(0.2),
    cs.GELU(),
    cs.SiLU(),
    cs.Sigmoid(),
    cs.Tanh(),
    cs.ELU(0.7),
    cs.Softplus(),
    cs.HardSwish(),
)


@pytest.fixture(scope="module")
def engine() -> RecipeEngine:
    return RecipeEngine(PLANS)


def test_nothing_is_left_to_the_host() -> None:
    recipes = {case.name: lower(case.compile(), PLANS, {}) for case in OWN_CASES}
    left = [
        name
        for name, recipe in recipes.items()
        if any(isinstance(command, OnHost) for command in recipe.commands)
    ]
    assert len(recipes) > 500
    assert not left


# Those of other types come to these kernels in the conformance suite already.
@pytest.mark.parametrize(
    "case",
    [
        case
        for case in OWN_CASES
        if case.name.startswith(CONVOLUTIONS) and case.name.endswith(FLOATS)
    ],
    ids=lambda case: case.name,
)
def test_floats_agree_with_the_reference(engine: RecipeEngine, case: Case) -> None:
    check_case(engine, case)


LONG_SUMS = {
    "forward": lambda dtype: layer_case(
        "long", cs.Conv(4, 3, padding=1, groups=2), (2, 602, 5), dtype=dtype
    ),
    "transposed": lambda dtype: layer_case(
        "long", cs.ConvTranspose(4, 3, 2, groups=2), (2, 602, 5), dtype=dtype
    ),
    "weight": lambda dtype: operation_case(
        "long", ConvWeightGradient(3, 2, groups=2), (2, 4, 4001), (2, 2, 2000), dtype=dtype
    ),
}


@pytest.mark.parametrize("name", LONG_SUMS)
@pytest.mark.parametrize("dtype", [*FLOATS, "float64", "int32", "int64", "complex64"])
def test_long_sums_are_made_in_parts(engine: RecipeEngine, name: str, dtype: str) -> None:
    case = LONG_SUMS[name](dtype)
    assert "AddParts" in structs_of(lower(case.compile(), PLANS, {}))
    check_case(engine, case)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("dtype", FLOATS)
def test_depthwise_takes_the_activation_along(
    engine: RecipeEngine, activation: Layer, dtype: str
) -> None:
    case = depthwise_case(8, 1, activation, dtype)
    assert (
        structs_of(lower(case.compile(), PLANS, {"input": "channels_last"}))[0] == "DepthwisePacked"
    )
    check_case(engine, case)


@pytest.mark.parametrize(("channels", "multiplier"), [(6, 1), (4, 2), (8, 3), (4, 1)])
def test_depthwise_of_any_number_of_channels(
    engine: RecipeEngine, channels: int, multiplier: int
) -> None:
    case = depthwise_case(channels, multiplier, cs.ReLU(), "float32")
    kernel = "DepthwisePacked" if (channels, multiplier) == (4, 1) else "Depthwise"
    assert kernel in structs_of(lower(case.compile(), PLANS, {}))
    check_case(engine, case)


def depthwise_case(channels: int, multiplier: int, activation: Layer, dtype: str) -> Case:
    conv = cs.DepthwiseConv((3, 2), 1, ((1, 2), (0, 1)), (2, 1), multiplier, name="conv")
    made = channels * multiplier
    return Case(
        name=f"depthwise-{channels}-{multiplier}-{dtype}",
        work=Network([conv, activation]),
        inputs={"input": (2, 9, 7, channels)},
        weights={"conv.weight": (made, 1, 3, 2), "conv.bias": (made,)},
        dtype=dtype,
        layout="channels_last",
    )
