"""Which algorithm is taken, and what is said of the others."""

import json
import math
from collections.abc import Mapping

import pytest
from attrs import evolve, frozen
from convserve_server.engines.cuda.advice import NoPlans
from convserve_server.engines.cuda.graphs import ConvGraph, Prepared
from convserve_server.engines.cuda.lowering import selection
from convserve_server.engines.cuda.lowering.activation import Activation
from convserve_server.engines.cuda.lowering.algorithms import ALGORITHMS, verdicts
from convserve_server.engines.cuda.lowering.builder import Builder, Plans
from convserve_server.engines.cuda.lowering.cudnn import Cudnn
from convserve_server.engines.cuda.lowering.selection import (
    Offer,
    Problem,
    Selection,
    judge,
    rates_of,
    select,
)
from convserve_server.engines.cuda.views import View
from convserve_server.planning.kernels import (
    FORWARD,
    INPUT_GRADIENT,
    WEIGHT_GRADIENT,
    Convolution,
)

from tests.fakes.host_device import HostPlans

CONV = Convolution(
    FORWARD, "float32", (2, 8, 9, 9), (16, 8, 3, 3), (2, 16, 9, 9), (1, 1), ((1, 1),) * 2, (1, 1)
)
BATCH = evolve(CONV, input=(64, 8, 99, 99), output=(64, 16, 99, 99))
DEPTHWISE = evolve(CONV, weight=(8, 1, 3, 3), output=(2, 8, 9, 9))
RELU = Activation("relu")


@frozen
class Said:
    """An algorithm that says what it was told to say."""

    name: str
    time: float = 1.0
    refuses: str = ""
    failure: str = ""

    def refusal(self, problem: Problem) -> str:
        return self.refuses

    def seconds(self, problem: Problem) -> float:
        return self.time

    def ask(self, problem: Problem, plans: Plans) -> Offer:
        return Offer(f"{self.name} in full", 7, ("NOTE",), "because", self.failure)

    def emit(self, builder: Builder, problem: Problem, tensors: Mapping[str, View]) -> None:
        raise AssertionError("nothing is computed here")


class Asked:
    """Plans that keep what they are asked, and know nothing."""

    workspace_limit_bytes = 0

    def __init__(self) -> None:
        self.graphs: list[ConvGraph] = []

    def find(self, graph: ConvGraph) -> Prepared | None:
        self.graphs.append(graph)
        return None


def chosen(*algorithms: Said) -> Selection:
    problem = Problem(CONV)
    return select(problem, judge(problem, algorithms), NoPlans())


def name_for(problem: Problem, plans: Plans | None = None) -> str:
    return select(problem, verdicts(problem), plans or NoPlans()).algorithm.name


def refusals(problem: Problem) -> dict[str, str]:
    return {verdict.algorithm.name: verdict.refusal for verdict in verdicts(problem)}


def test_the_fastest_is_taken_and_the_others_have_reasons() -> None:
    selection = chosen(Said("slow", 3.0), Said("fast", 2.0), Said("unable", refuses="it cannot"))
    assert selection.algorithm.name == "fast"
    assert [(k.name, k.chosen, k.rank) for k in selection.kernels] == [
        ("fast in full", True, 0),
        ("slow", False, 1),
        ("unable", False, 2),
    ]
    assert selection.kernels[0].workspace_bytes == 7
    assert selection.kernels[0].notes == ("NOTE",)
    assert selection.reason == (
        "fast in full (because): about 2e+06 us by assumed rates; "
        "not slow: 1.5 times as long by assumed rates; not unable: it cannot"
    )


def test_the_next_is_taken_where_the_fastest_has_nothing() -> None:
    selection = chosen(Said("fast", failure="there is no plan"), Said("slow", 3.0))
    assert selection.algorithm.name == "slow"
    assert selection.kernels[1].rejected_because == "there is no plan"


def test_that_nothing_can_is_an_error_that_says_why() -> None:
    with pytest.raises(LookupError, match="it cannot"):
        chosen(Said("unable", refuses="it cannot"))


def test_equals_are_taken_in_their_order() -> None:
    assert chosen(Said("one"), Said("two")).algorithm.name == "one"


def test_names_are_different() -> None:
    assert len({algorithm.name for algorithm in ALGORITHMS}) == len(ALGORITHMS)


@pytest.mark.parametrize(
    ("problem", "name"),
    [
        (Problem(CONV), "cudnn"),
        (Problem(CONV, bias=True, activation=RELU), "cudnn_fused"),
        (Problem(CONV, bias=True, activation=Activation("mish")), "cudnn"),
        (Problem(evolve(BATCH, dtype="float64"), bias=True, activation=RELU), "cudnn_fused"),
        (Problem(evolve(BATCH, dtype="float64"), activation=Activation("silu")), "cudnn"),
        (Problem(DEPTHWISE, bias=True), "depthwise"),
        (Problem(DEPTHWISE, bias=True, residual=True), "cudnn_fused"),
        (Problem(evolve(DEPTHWISE, direction=WEIGHT_GRADIENT)), "cudnn"),
        (Problem(evolve(CONV, dtype="int32"), bias=True), "direct"),
        (Problem(evolve(CONV, dtype="complex64")), "direct"),
    ],
)
def test_what_is_taken(problem: Problem, name: str) -> None:
    assert name_for(problem) == name


def test_less_is_asked_in_one_go_where_cudnn_has_no_more() -> None:
    problem = Problem(CONV, bias=True, residual=True, activation=RELU)
    plans = HostPlans(refuses=lambda graph: graph.is_fused)
    assert name_for(problem, HostPlans()) == "cudnn_fused"
    assert name_for(problem, plans) == "cudnn"
    assert name_for(problem, HostPlans(refuses=lambda graph: True)) == "direct"


def test_only_what_may_be_taken_is_asked() -> None:
    plans = Asked()
    name_for(Problem(CONV, bias=True, activation=RELU), plans)
    assert [graph.is_fused for graph in plans.graphs] == [True]
    name_for(Problem(DEPTHWISE), plans)
    assert len(plans.graphs) == 1


def test_an_image_that_is_too_large_for_cudnn() -> None:
    large = evolve(CONV, input=(1, 8, 1 << 14, 1 << 14), output=(1, 16, 1 << 14, 1 << 14))
    assert large.image_elements > 1 << 31
    assert "4294967296 elements" in refusals(Problem(large))["cudnn"]
    batch = evolve(CONV, input=(99, 8, 1 << 13, 1 << 13), output=(99, 16, 1 << 13, 1 << 13))
    assert not refusals(Problem(batch))["cudnn"]


def test_a_transposed_convolution_with_more_than_its_window_gives() -> None:
    wider = evolve(CONV, direction=INPUT_GRADIENT, input=(2, 8, 10, 9))
    assert name_for(Problem(wider)) == "direct"
    strided = evolve(wider, stride=(2, 1), output=(2, 16, 5, 9))
    assert name_for(Problem(strided)) == "cudnn"


def test_what_cudnn_never_fuses_into_bfloat16() -> None:
    """As its planner said, into a depthwise convolution in 2-D."""
    conv = evolve(DEPTHWISE, dtype="bfloat16")
    fused = Cudnn(is_fused=True)
    assert not fused.refusal(Problem(conv, bias=True, activation=RELU))
    assert fused.refusal(Problem(conv, bias=True, activation=Activation("gelu")))
    assert not fused.refusal(
        Problem(evolve(conv, dtype="float16"), bias=True, activation=Activation("gelu"))
    )


def test_a_pass_of_our_own_costs_a_launch_and_its_bytes() -> None:
    problem = Problem(CONV, bias=True, activation=RELU)
    fused, plain = Cudnn(is_fused=True).seconds(problem), Cudnn(is_fused=False).seconds(problem)
    rates = rates_of("cudnn")
    passing = rates.launch_seconds + 2 * 4 * math.prod(CONV.output) / rates.bytes_per_second
    assert plain - fused == pytest.approx(passing)


def test_a_problem_counts_its_work() -> None:
    problem = Problem(CONV, residual=True)
    assert problem.flop_count == 2 * 2 * 16 * 81 * 8 * 9
    assert problem.byte_count == 4 * (2 * 8 * 81 + 16 * 8 * 9 + 2 * 2 * 16 * 81)


def test_the_rates_say_that_nobody_measured_them() -> None:
    data = json.loads(selection.RATES.read_text())
    assert data["assumed"] is True
    assert "no convolution was timed" in data["source"]
    for row in data["algorithms"].values():
        assert 0 < row["bandwidth"] < 1
