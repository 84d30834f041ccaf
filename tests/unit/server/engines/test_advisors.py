"""Advisors by their engines' names."""

import pytest
from convserve.layers import Conv, LocalResponseNorm, MaxPool, SeparableConv, Unfold
from convserve.networks import Network
from convserve.operations import Convolve
from convserve.tensors import TensorSpec
from convserve_server.engines import ADVISORS, ENGINES, GPU_ENGINES, load_advisor
from convserve_server.planning.planner import compile_network, plan_operation

X = TensorSpec("input", "float64", (1, 1, 64, 64))
W = TensorSpec("conv1.weight", "float64", (8, 1, 3, 3))


def conv_step(**fields):
    return compile_network(Network([Conv(8, 3, bias=False, **fields)]), [X, W]).steps[0]


def test_every_engine_has_one():
    assert ADVISORS.keys() == ENGINES.keys() | GPU_ENGINES.keys()


@pytest.mark.parametrize("name", ADVISORS)
def test_an_advisor_names_its_engine_and_an_algorithm(name):
    advice = load_advisor(name).advise(conv_step())
    assert advice.engine == name
    assert advice.algorithm
    assert advice.reason
    assert advice.workspace_bytes > 0


def test_threads_reach_the_cpu_engines():
    one, four = (load_advisor("cpu", threads).advise(conv_step()) for threads in (1, 4))
    assert four.workspace_bytes > one.workspace_bytes


def test_nothing_is_known_of_an_engine_that_is_not_listed():
    advice = load_advisor("some.module:Engine").advise(conv_step())
    assert (advice.engine, advice.algorithm, advice.workspace_bytes) == (
        "some.module:Engine",
        "",
        0,
    )


def test_the_reference_engine_holds_wide_copies_with_their_padding():
    advisor = load_advisor("reference")
    sizes = 64 * 64 + 8 * 9 + 8 * 62 * 62  # input, weight, output
    assert advisor.advise(conv_step()).workspace_bytes == 2 * 8 * sizes
    far = conv_step(padding=1000, stride=1000)
    padded = 2064 * 2064 + 8 * 9 + 8 * 3 * 3
    assert advisor.advise(far).workspace_bytes == 2 * 8 * padded
    pool = compile_network(Network([MaxPool(2)]), [X]).steps[0]
    assert advisor.advise(pool).workspace_bytes == 2 * 8 * (64 * 64 + 32 * 32)


def test_the_reference_engine_pads_and_keeps_what_lies_between():
    x, advisor = TensorSpec("input", "float64", (1, 4, 8)), load_advisor("reference")
    far = compile_network(Network([Unfold(3, 1000, 1000)]), [x]).steps[0]
    assert advisor.advise(far).workspace_bytes == 2 * 8 * (4 * 2008 + 12 * 3)
    weights = [
        TensorSpec("s.depthwise_weight", "float64", (12, 1, 3)),
        TensorSpec("s.pointwise_weight", "float64", (2, 12, 1)),
    ]
    layer = SeparableConv(2, 3, padding=1, depth_multiplier=3, bias=False, name="s")
    step = compile_network(Network([layer]), [x, *weights]).steps[0]
    sizes = 4 * 10 + 36 + 24 + 2 * 8 + 12 * 8  # input, weights, output, what lies between
    assert advisor.advise(step).workspace_bytes == 2 * 8 * sizes


def test_what_the_cpu_engine_leaves_to_the_reference_engine_has_its_memory():
    x = TensorSpec("input", "float64", (1, 4, 8))
    step = compile_network(Network([LocalResponseNorm(3)]), [x]).steps[0]
    advices = [load_advisor(name).advise(step) for name in ("cpu", "reference")]
    assert advices[0].engine == "reference"
    assert advices[0].workspace_bytes == advices[1].workspace_bytes == 2 * 8 * 64


def test_the_reference_engine_makes_the_full_result_of_signals():
    a, v = TensorSpec("a", "complex64", (100,)), TensorSpec("v", "complex64", (30,))
    step = plan_operation(Convolve("valid"), [a, v])
    assert load_advisor("reference").advise(step).workspace_bytes == 2 * 16 * (100 + 30 + 129)
