"""The memory over the steps, counted by hand. float32: 4 bytes."""

from __future__ import annotations

from convserve.layers import Add, Concat, Conv, Dense, GlobalAvgPool, ReLU, Upsample
from convserve.networks import Network
from convserve.operations import Convolve
from convserve.tensors import TensorSpec
from convserve_server.planning.memory import working_bytes
from convserve_server.planning.planner import compile_network, plan_network, plan_operation
from convserve_server.planning.program import Survey
from msgspec.structs import replace

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


def test_the_timeline_has_a_moment_for_each_step():
    planned = plan([Conv(8, 1, bias=False), ReLU(), ReLU()], (2, 4, 10), workspace_bytes=7)
    x, y, w = 2 * 4 * 10 * 4, 2 * 8 * 10 * 4, 8 * 4 * 4
    assert [moment.layer for moment in planned.timeline] == ["conv1", "relu1", "relu2"]
    assert [moment.activation_bytes for moment in planned.timeline] == [x + y, 2 * y, 2 * y]
    assert {m.workspace_bytes for m in planned.timeline} == {7}
    assert {m.weight_bytes for m in planned.timeline} == {w}
    assert {m.phase for m in planned.timeline} == {"forward"}
    assert max(m.byte_count for m in planned.timeline) == planned.peak_memory_bytes
    assert not planned.training


class Fusing(FixedAdvisor):
    """Takes each ReLU along with what is before it, and keeps something for itself."""

    def survey(self, steps, outputs):
        advices = [
            replace(self.advise(step), fused_into=step.inputs[0].name)
            if isinstance(step.layer, ReLU)
            else self.advise(step)
            for step in steps
        ]
        return Survey(tuple(advices), resident_bytes=100, start_bytes=5000, spare_bytes=11)


def test_fused_layers_store_nothing_between_them():
    network = Network([Conv(8, 1, bias=False), ReLU(), Conv(8, 1, bias=False), ReLU()])
    specs = [TensorSpec("input", "float32", (1, 8, 10))]
    planned = plan_network(network, specs, advisor=Fusing())
    assert [layer.fused_into for layer in planned.layers] == ["", "conv1", "", "conv2"]
    assert [moment.layer for moment in planned.timeline] == ["conv1", "conv2"]
    assert [moment.activation_bytes for moment in planned.timeline] == [2 * 320, 2 * 320]


def test_what_the_engine_holds_is_beside_the_peak():
    network, spec = Network([Conv(8, 1, bias=False), ReLU()]), TensorSpec("", "float32", (1, 8, 10))
    small = plan_network(network, [spec], advisor=Fusing())
    assert small.engine_bytes == 256 + 5000 - small.peak_memory_bytes  # it starts with the weights
    spec = TensorSpec("", "float32", (1, 8, 10_000))
    assert plan_network(network, [spec], advisor=Fusing()).engine_bytes == 111
