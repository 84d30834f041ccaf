"""The peak of memory, counted by hand. float32: 4 bytes."""

from __future__ import annotations

from convserve.layers import Add, Concat, Conv, Dense, GlobalAvgPool, ReLU, Upsample
from convserve.networks import Network
from convserve.operations import Convolve
from convserve.tensors import TensorSpec
from convserve_server.planning.memory import working_bytes
from convserve_server.planning.planner import compile_network, plan_operation

from tests.planning import FixedAdvisor, plan


def test_a_chain_holds_two_activations_and_all_weights():
    planned = plan([ReLU(), Conv(8, 1, bias=False), ReLU()], (2, 4, 10))
    assert planned.weight_bytes == 32 * 4
    assert planned.peak_layer == "relu2"
    assert planned.peak_memory_bytes == 32 * 4 + (2 * 8 * 10 + 2 * 8 * 10) * 4
    assert planned.peak_memory_per_sample_bytes == (8 * 10 + 8 * 10) * 4


def test_the_input_of_a_skip_lives_until_it_is_joined():
    network = Network(
        [ReLU(name="a"), ReLU(name="b"), ReLU(name="c"), Add(name="sum", inputs=("input", "c"))]
    )
    planned = plan(network, (1, 100))
    assert planned.peak_layer == "b"  # input, a and b; the first of equal peaks
    assert planned.peak_memory_bytes == 3 * 400


def test_results_live_until_the_end():
    network = Network(
        [Dense(100, bias=False, name="a", inputs="input"), ReLU(name="b"), ReLU(name="c")],
        outputs=("a", "c"),
    )
    planned = plan(network, (1, 1))
    assert planned.peak_memory_bytes == 400 + (100 + 100 + 100) * 4
    assert planned.peak_layer == "c"


def test_a_result_that_nobody_wants_is_freed_at_once():
    network = Network(
        [ReLU(name="unused"), ReLU(name="b", inputs="input"), ReLU(name="c")], outputs=("c",)
    )
    assert plan(network, (1, 100)).peak_memory_bytes == 2 * 400


def test_an_input_read_twice_is_counted_once():
    planned = plan([Concat(inputs=("input", "input")), ReLU()], (1, 100))
    assert planned.peak_memory_bytes == 2 * 800


def test_workspace_is_there_during_its_step_only():
    planned = plan([Conv(1, 1, bias=False), ReLU()], (3, 1, 10), workspace_bytes=1000)
    assert planned.layers[0].workspace_bytes == 1000
    assert planned.peak_memory_fixed_bytes == 4 + 1000
    assert planned.peak_memory_bytes == 4 + 1000 + 3 * 2 * 40


def test_a_symbolic_batch_is_planned_for_one_sample():
    symbolic = plan([Conv(8, 3), ReLU()], (-1, 4, 10))
    one = plan([Conv(8, 3), ReLU()], (1, 4, 10))
    assert symbolic.symbolic_batch
    assert not one.symbolic_batch
    for name in ("fixed_bytes", "per_sample_bytes", "bytes"):
        name = f"peak_memory_{name}"
        assert getattr(symbolic, name) == getattr(one, name)
    assert symbolic.peak_memory_bytes == (
        symbolic.peak_memory_fixed_bytes + symbolic.peak_memory_per_sample_bytes
    )
    assert symbolic.layers[0].activation_bytes == 8 * 8 * 4


def test_an_empty_batch_needs_its_weights():
    planned = plan([Conv(8, 3, bias=False)], (0, 4, 10))
    assert planned.peak_memory_bytes == planned.weight_bytes == 8 * 4 * 3 * 4
    assert planned.mac_count == planned.layers[0].activation_bytes == 0


def needed(network, *shape, workspace_bytes=0):
    """What a worker needs for a network without weights, beside its input and its outputs."""
    program = compile_network(network, [TensorSpec("input", "float32", shape)])
    return working_bytes(program, FixedAdvisor(workspace_bytes))


def test_a_worker_needs_room_for_intermediates_only():
    assert needed(Network([ReLU()]), 1, 100) == 0
    assert needed(Network([ReLU(), ReLU()]), 1, 100) == 400
    assert needed(Network([ReLU() for _ in range(9)]), 1, 100) == 2 * 400
    skip = Network([ReLU(name="a"), ReLU(), ReLU(), Add(inputs=("a", "relu2"))])
    assert needed(skip, 1, 100) == 3 * 400


def test_a_result_is_no_intermediate_even_if_others_read_it():
    network = Network([ReLU(name="a"), ReLU(name="b"), ReLU(name="c")], outputs=("a", "c"))
    assert needed(network, 1, 100) == 400


def test_what_nobody_reads_is_an_intermediate_of_its_step():
    network = Network([ReLU(name="unread"), ReLU(name="b", inputs="input")], outputs=("b",))
    assert needed(network, 1, 100) == 400


def test_the_workspace_is_added_where_it_is_needed():
    assert needed(Network([ReLU(), ReLU()]), 1, 100, workspace_bytes=50) == 450
    signals = [TensorSpec(name, "float32", (9,)) for name in ("a", "v")]
    assert working_bytes(plan_operation(Convolve(), signals), FixedAdvisor(70)) == 70


def test_an_intermediate_may_be_far_larger_than_what_comes_and_goes():
    network = Network([Upsample(10_000), GlobalAvgPool()])
    assert needed(network, 1, 1, 100, 100) == 4 * 10**12
