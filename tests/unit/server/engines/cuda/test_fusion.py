"""Which steps become one, and that they give what they give apart."""

import pytest
from attrs import evolve
from convserve import layers as cs
from convserve.layers import Layer
from convserve_server.engines.cuda.graphs import ConvGraph
from convserve_server.engines.cuda.lowering import lower
from convserve_server.engines.cuda.lowering.fusion import find_runs
from convserve_server.engines.cuda.recipe import Convolve, Launch, Recipe

from tests.conformance.case import Case, check_case
from tests.fakes.host_device import HostPlans
from tests.network_cases import network_case, network_program
from tests.networks import resnet50
from tests.recipes import RecipeEngine

FLOATS = ("float16", "bfloat16", "float32", "float64")
OF_CUDNN: tuple[Layer, ...] = (
    cs.ReLU(name="act"),
    cs.ReLU6(name="act"),
    cs.LeakyReLU(0.2, name="act"),
    cs.GELU(name="act"),
    cs.SiLU(name="act"),
    cs.Sigmoid(name="act"),
    cs.Tanh(name="act"),
    cs.ELU(name="act"),
    cs.Softplus(name="act"),
)
OF_OURS: tuple[Layer, ...] = (
    cs.ELU(0.7, name="act"),
    cs.Softplus(2.0, name="act"),
    cs.HardSigmoid(name="act"),
    cs.HardSwish(name="act"),
    cs.Mish(name="act"),
)
HEADS: tuple[Layer, ...] = (
    cs.Conv(8, 3, padding=1, groups=2, name="head"),
    cs.Conv(8, 3, padding=1, bias=False, name="head"),
    cs.ConvTranspose(8, 3, padding=1, groups=2, name="head"),
    cs.ConvTranspose(8, 1, bias=False, name="head"),
    cs.DepthwiseConv(3, padding=1, name="head"),
    cs.SeparableConv(8, 3, padding=1, name="head"),
)
TAIL: tuple[Layer, ...] = (cs.BatchNorm(name="norm"), cs.Add(name="sum", inputs=("norm", "input")))
SHAPE = (2, 8, 5, 4)


@pytest.fixture(scope="module", params=["all", "plain", "none"])
def engine(request: pytest.FixtureRequest) -> RecipeEngine:
    """Where cuDNN fuses all that it is asked, nothing, or has no plan at all."""
    refusals = {"all": _nothing, "plain": _fused, "none": _everything}
    return RecipeEngine(HostPlans(refuses=refusals[request.param]))


def _nothing(graph: ConvGraph) -> bool:
    return False


def _fused(graph: ConvGraph) -> bool:
    return graph.is_fused


def _everything(graph: ConvGraph) -> bool:
    return True


def check(engine: RecipeEngine, case: Case) -> None:
    result = check_case(engine, case)
    assert {record.engine for record in result.records} == {"cuda"}


def lowered(layers: tuple[Layer, ...], shape: tuple[int, ...] = SHAPE) -> Recipe:
    return lower(network_case(layers, shape).compile(), HostPlans(), {})


def runs_of(*layers: Layer) -> list[list[str]]:
    program = network_case(layers, SHAPE).compile()
    return [[step.output.name for step in run.steps] for run in find_runs(program)]


@pytest.mark.parametrize("head", HEADS, ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_run_gives_what_its_steps_give(engine: RecipeEngine, head: Layer, dtype: str) -> None:
    check(engine, network_case((head, *TAIL, cs.ReLU(name="act")), SHAPE, dtype))


@pytest.mark.parametrize("rank", [1, 3])
def test_a_run_of_any_rank(engine: RecipeEngine, rank: int) -> None:
    head = cs.Conv(8, 3, padding=1, name="head")
    shape = (2, 8, *(5, 4, 3)[:rank])
    check(engine, network_case((head, *TAIL, cs.GELU(name="act")), shape))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("features", [8, 7])
def test_a_run_of_a_dense_layer(engine: RecipeEngine, features: int, dtype: str) -> None:
    layers = (cs.Dense(features, name="head"), *TAIL, cs.SiLU(name="act"))
    check(engine, network_case(layers, (5, features), dtype))


def test_a_dense_layer_over_several_axes(engine: RecipeEngine) -> None:
    layers = (
        cs.Dense(6, name="head"),
        cs.Add(name="sum", inputs=("head", "input")),
        cs.ReLU(name="act"),
    )
    check(engine, network_case(layers, (2, 3, 4, 6)))


@pytest.mark.parametrize("layer", OF_CUDNN + OF_OURS, ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_every_activation(engine: RecipeEngine, layer: Layer, dtype: str) -> None:
    check(engine, network_case((cs.Conv(6, 3, name="head"), layer), SHAPE, dtype))


@pytest.mark.parametrize("layer", OF_CUDNN, ids=lambda layer: type(layer).__name__)
def test_cudnn_is_given_the_whole_run(layer: Layer) -> None:
    recipe = lowered((cs.Conv(8, 3, padding=1, name="head"), *TAIL, layer))
    (graph,) = recipe.graphs
    assert graph.bias
    assert graph.residual
    assert graph.activation
    assert all(c.instance.struct == "Copy" for c in recipe.commands if isinstance(c, Launch))
    assert len({record.algorithm for record in recipe.records}) == 1


@pytest.mark.parametrize("layer", OF_OURS, ids=lambda layer: type(layer).__name__)
def test_what_cudnn_does_not_know_is_one_pass_more(layer: Layer) -> None:
    recipe = lowered((cs.Conv(8, 3, padding=1, name="head"), *TAIL, layer))
    assert [graph.is_fused for graph in recipe.graphs] == [False]
    launched = [c.instance.struct for c in recipe.commands if isinstance(c, Launch)]
    assert launched.count("EpiloguePacked") == 1


def test_the_network_of_all_networks() -> None:
    recipe = lower(network_program(resnet50(), (1, 3, 224, 224)), HostPlans(), {})
    assert sum(isinstance(command, Convolve) for command in recipe.commands) == 54
    assert sum(graph.residual for graph in recipe.graphs) == 16


def test_a_value_with_two_readers_is_left_alone() -> None:
    assert runs_of(
        cs.Conv(8, 3, padding=1, name="head"),
        cs.ReLU(name="act", inputs="head"),
        cs.Add(name="sum", inputs=("head", "act")),
    ) == [["head"], ["act"], ["sum"]]


def test_a_value_added_to_itself_is_left_alone() -> None:
    twice = cs.Add(name="sum", inputs=("head", "head"))
    assert runs_of(cs.Conv(8, 1, name="head"), twice) == [["head"], ["sum"]]


def test_a_result_of_the_network_is_left_alone() -> None:
    layers = (cs.Conv(8, 1, name="head"), cs.ReLU(name="act"))
    program = evolve(network_case(layers, SHAPE).compile(), outputs=("head", "act"))
    assert [len(run.steps) for run in find_runs(program)] == [1, 1]


def test_two_sums_are_no_single_run() -> None:
    assert runs_of(
        cs.Conv(8, 1, name="head"),
        cs.Add(name="one", inputs=("head", "input")),
        cs.Add(name="two", inputs=("one", "input")),
    ) == [["head", "one"], ["two"]]


def test_a_sum_of_another_shape_is_left_alone() -> None:
    assert runs_of(
        cs.GlobalAvgPool(name="mean"),
        cs.Conv(8, 1, name="head", inputs="input"),
        cs.Add(name="sum", inputs=("head", "mean")),
    ) == [["mean"], ["head"], ["sum"]]


def test_a_run_waits_for_what_it_adds() -> None:
    layers = (
        cs.Conv(8, 1, name="first"),
        cs.Conv(8, 1, name="second", inputs="input"),
        cs.BatchNorm(name="norm"),
        cs.Add(name="sum", inputs=("first", "norm")),
        cs.ReLU(name="act"),
    )
    assert runs_of(*layers) == [["second", "norm"], ["first", "sum", "act"]]


def test_integers_are_not_fused() -> None:
    case = network_case((cs.Conv(8, 1, name="head"), cs.ReLU(name="act")), SHAPE, "int8")
    assert [len(run.steps) for run in find_runs(case.compile())] == [1, 1]


def test_a_separable_layer_is_one_record() -> None:
    recipe = lowered((cs.SeparableConv(6, 3, name="head"), cs.ReLU(name="act")))
    (head, act) = recipe.records
    assert (head.name, act.name) == ("head", "act")
    assert head.algorithm == f"depthwise+{act.algorithm}"
