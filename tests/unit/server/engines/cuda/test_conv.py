"""Convolutions, dense layers and gradients as commands."""

import numpy as np
import pytest
from convserve import layers as cs
from convserve.operations import ConvInputGradient, ConvWeightGradient
from convserve.tensors import Shape
from convserve_server.engines.cuda.graphs import INPUT, OUTPUT, RESIDUAL, WEIGHT
from convserve_server.engines.cuda.lowering import lower
from convserve_server.engines.cuda.recipe import Convolve, Recipe
from convserve_server.planning.kernels import FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT

from tests.conformance.builders import layer_case, operation_case
from tests.conformance.case import Case, check_case, run_case
from tests.fakes.host_device import HostPlans
from tests.network_cases import network_case
from tests.recipes import RecipeEngine

PLANS = HostPlans()


@pytest.fixture(scope="module")
def engine() -> RecipeEngine:
    return RecipeEngine()


def lowered(case: Case, **layouts: str) -> Recipe:
    return lower(case.compile(), PLANS, layouts)


def convolve(recipe: Recipe) -> Convolve:
    (command,) = (command for command in recipe.commands if isinstance(command, Convolve))
    return command


def test_channels_last_inputs_and_results_are_not_copied() -> None:
    case = layer_case("last", cs.Conv(8, 3, padding=1), (2, 5, 6, 4), layout="channels_last")
    recipe = lowered(case, input="channels_last", conv1="channels_last")
    assert recipe.commands == (convolve(recipe),)
    assert convolve(recipe).operands[INPUT] == recipe.inputs["input"]
    assert convolve(recipe).operands[OUTPUT] == recipe.outputs["conv1"]


def test_weights_are_laid_out_once_for_all_runs() -> None:
    recipe = lowered(layer_case("plain", cs.Conv(8, 3), (2, 4, 6, 5)))
    (copy,) = recipe.preparation
    weight = convolve(recipe).operands[WEIGHT]
    assert copy.arguments[0].buffer == weight.buffer
    assert weight.is_channels_last


@pytest.mark.parametrize(
    ("case", "direction"),
    [
        (layer_case("a", cs.Conv(6, 3), (2, 4, 6, 5)), FORWARD),
        (layer_case("a", cs.ConvTranspose(6, 3), (2, 4, 6, 5)), INPUT_GRADIENT),
        (layer_case("a", cs.Dense(6), (2, 4)), FORWARD),
        (
            operation_case("a", ConvInputGradient((2, 4, 6, 5)), (2, 6, 4, 3), (6, 4, 3, 3)),
            INPUT_GRADIENT,
        ),
        (
            operation_case("a", ConvWeightGradient((3, 3)), (2, 4, 6, 5), (2, 6, 4, 3)),
            WEIGHT_GRADIENT,
        ),
    ],
    ids=["conv", "transposed", "dense", "for_input", "for_weight"],
)
def test_the_direction_that_cudnn_is_asked_for(case: Case, direction: str) -> None:
    command = convolve(lowered(case))
    assert command.graph.convolution.direction == direction
    for role, shape in (
        (INPUT, command.graph.convolution.input),
        (WEIGHT, command.graph.convolution.weight),
        (OUTPUT, command.graph.convolution.output),
    ):
        assert command.operands[role].shape == shape
        assert command.operands[role].is_channels_last


def test_the_workspace_is_what_the_plan_says() -> None:
    case = layer_case("plain", cs.Conv(8, 3), (2, 4, 6, 5))
    workspace = convolve(lower(case.compile(), HostPlans(workspace_bytes=4096), {})).workspace
    assert workspace is not None
    assert workspace.byte_count == 4096
    assert convolve(lower(case.compile(), HostPlans(workspace_bytes=0), {})).workspace is None


@pytest.mark.parametrize("start", [1, 2])
def test_what_begins_within_a_value_is_copied_to_an_aligned_place(
    engine: RecipeEngine, start: int
) -> None:
    layers = (
        cs.Slice(2, start, 3, name="slice"),
        cs.Conv(3, 1, name="head"),
        cs.Add(name="sum", inputs=("head", "slice")),
    )
    case = network_case(layers, (1, 3, 4, 5))
    command = convolve(lowered(case))
    for role in (INPUT, RESIDUAL):
        view = command.operands[role]
        assert view.offset * view.item_bytes % 16 == 0
    check_case(engine, case)


@pytest.mark.parametrize(
    ("x", "grad"), [((0, 4, 6, 5), (0, 6, 4, 3)), ((2, 4, 6, 5), (2, 6, 4, 3))]
)
@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "complex64"])
def test_the_gradient_of_no_samples_is_zero(
    engine: RecipeEngine, x: Shape, grad: Shape, dtype: str
) -> None:
    case = operation_case("few", ConvWeightGradient((3, 3)), x, grad, dtype=dtype)
    check_case(engine, case)
    if not x[0]:
        assert not np.any(run_case(engine, case).outputs["output"])
