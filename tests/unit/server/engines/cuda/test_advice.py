"""What plans and admission are told of the cuda engine, with no GPU."""

import subprocess
import sys
from collections.abc import Sequence

from convserve import layers as cs
from convserve.layers import Layer
from convserve.networks import Network
from convserve.operations import ConvInputGradient
from convserve.tensors import Shape, TensorSpec
from convserve_server.engines import load_advisor
from convserve_server.engines.cuda.advice import (
    TOO_LARGE_BYTES,
    CudaAdvisor,
    NoPlans,
    workspace_limits,
)
from convserve_server.engines.cuda.graphs import ConvGraph, Prepared
from convserve_server.engines.cuda.lowering import lower
from convserve_server.engines.cuda.placing import place
from convserve_server.planning.memory import working_bytes
from convserve_server.planning.planner import plan_network, plan_operation
from convserve_server.planning.program import Advice
from convserve_server.planning.tiling import split

from tests.fakes.host_device import HostPlans
from tests.network_cases import network_program, network_steps

SHAPE = (2, 8, 6, 5)
BLOCK: tuple[Layer, ...] = (
    cs.Conv(8, 3, padding=1, name="conv"),
    cs.BatchNorm(name="norm"),
    cs.Add(name="sum", inputs=("norm", "input")),
    cs.ReLU(name="act"),
    cs.GlobalAvgPool(name="mean"),
)


class LearningPlans:
    """Plans that know what they were taught, by a library that fuses nothing."""

    workspace_limit_bytes = 1 << 20

    def __init__(self) -> None:
        self.known: dict[ConvGraph, Prepared] = {}

    def find(self, graph: ConvGraph) -> Prepared | None:
        return self.known.get(graph)

    def learn(self, graphs: Sequence[ConvGraph]) -> None:
        for graph in graphs:
            failure = "it fuses nothing" if graph.is_fused else ""
            self.known[graph] = Prepared("eng1", 2048, failure=failure)


def surveyed(layers: Sequence[Layer], shape: Shape = SHAPE, dtype: str = "float32") -> list[Advice]:
    network = Network(list(layers))
    steps = network_steps(network, shape, dtype)
    survey = CudaAdvisor(plans=HostPlans()).survey(steps, (steps[-1].output.name,))
    return list(survey.advices)


def test_a_run_is_told_of_its_first_layer() -> None:
    conv, norm, added, act, mean = surveyed(BLOCK)
    assert conv.algorithm == "cudnn_fused eng0"
    assert {each.fused_into for each in (norm, added, act)} == {"conv"}
    assert {each.workspace_bytes for each in (norm, added, act)} == {0}
    assert (conv.fused_into, mean.fused_into) == ("", "")
    assert conv.kernels[0].chosen
    assert {kernel.name for kernel in conv.kernels[1:]} == {
        "cudnn",
        "direct",
        "depthwise",
        "fft",
    }
    assert all(kernel.rejected_because for kernel in conv.kernels[1:])
    assert "not depthwise: the convolution mixes channels" in conv.reason
    assert mean.reason.startswith("kernels of ours: ")


def test_a_workspace_is_cudnns_and_that_of_copies() -> None:
    (conv,) = surveyed([cs.Conv(4, 3, name="conv")])
    assert conv.workspace_bytes == 1024 + 4 * 2 * 8 * 6 * 5  # and the input, channels last


def test_what_belongs_to_no_layer() -> None:
    steps = network_steps(Network([cs.Conv(4, 3, name="conv")]), SHAPE)
    survey = CudaAdvisor(plans=HostPlans()).survey(steps, ("conv",))
    assert survey.resident_bytes == 4 * 4 * 8 * 9  # weights in the kernel's order
    assert survey.spare_bytes == 4 * 2 * 4 * 4 * 3  # the result in the host's order


def test_a_layer_of_several_steps_is_told_as_one() -> None:
    separable, act = surveyed([cs.SeparableConv(4, 3, name="sep"), cs.ReLU(name="act")])
    assert separable.algorithm == "depthwise+cudnn_fused eng0"
    assert "; then cudnn_fused eng0" in separable.reason
    between = 4 * 2 * 8 * 4 * 3
    assert separable.workspace_bytes >= 1024 + between
    assert act.fused_into == "sep"


def test_what_there_is_no_choice_about() -> None:
    (relu,) = surveyed([cs.Flatten(name="flat")], (2, 8))
    assert relu.reason == "another view of what is there: nothing is copied"


def test_nothing_to_sum_up() -> None:
    (conv,) = surveyed([cs.Conv(4, 3, name="conv")], (0, *SHAPE[1:]))
    assert conv.reason == "there is nothing to sum up"


def test_an_operation() -> None:
    grad, weight = TensorSpec("grad_output", "float16", (2, 6, 4, 3)), (6, 8, 3, 3)
    step = plan_operation(ConvInputGradient(SHAPE), [grad, TensorSpec("weight", "float16", weight)])
    advice = CudaAdvisor(plans=HostPlans()).advise(step)
    assert advice.algorithm == "cudnn eng0"
    assert advice.kernels[0].direction == "input_gradient"


def test_admission_counts_what_placing_places() -> None:
    program = network_program(Network(list(BLOCK)), SHAPE)
    advisor = CudaAdvisor(plans=HostPlans())
    exact = place(lower(program, HostPlans(), {})).byte_count
    assert working_bytes(program, advisor) == exact
    assert working_bytes(program, advisor) == exact  # as it is kept


def test_what_is_not_known_is_counted_at_its_limit() -> None:
    program = network_program(Network([cs.Conv(4, 3, name="conv")]), SHAPE)
    advisor = load_advisor("cuda")
    assert "cuDNN was not asked yet" in advisor.advise(program.steps[0]).caveat
    exact = CudaAdvisor(plans=HostPlans()).working_bytes(program)
    bound = CudaAdvisor(plans=NoPlans(1 << 20)).working_bytes(program)
    assert 1 << 20 < bound <= exact + (1 << 20)
    assert not CudaAdvisor(plans=HostPlans()).advise(program.steps[0]).caveat


def test_what_is_wanted_is_asked_for_round_by_round() -> None:
    program = network_program(Network(list(BLOCK)), SHAPE)
    plans = LearningPlans()
    advisor = CudaAdvisor(plans=plans)
    rounds = []
    while (wanted := advisor.wanted(program)).graphs:
        rounds.append([graph.is_fused for graph in wanted.graphs])
        plans.learn(wanted.graphs)
    assert rounds == [[True], [False]]
    structs = {instance.struct for instance in wanted.instances}
    assert {"EpiloguePacked", "FoldWeight", "Copy"} <= structs
    assert advisor.working_bytes(program) == place(lower(program, plans, {})).byte_count


def test_what_was_an_upper_bound_is_not_kept() -> None:
    program = network_program(Network([cs.Conv(4, 3, bias=False, name="conv")]), SHAPE)
    plans = LearningPlans()
    advisor = CudaAdvisor(plans=plans)
    before = advisor.working_bytes(program)
    plans.learn(advisor.wanted(program).graphs)
    assert advisor.working_bytes(program) == before - (1 << 20) + 2048


def test_a_smaller_workspace_is_tried_before_work_is_split() -> None:
    assert workspace_limits(1 << 30) == (1 << 30, 1 << 27, 0)
    assert workspace_limits(0) == (0,)


def test_an_image_that_is_too_large_for_cudnn_is_cut_into_tiles() -> None:
    shape = (1, 2, (1 << 15) + 2, 1 << 15)
    program = network_program(Network([cs.Conv(2, 3, name="conv")]), shape, "float16")
    advisor = CudaAdvisor(plans=HostPlans(workspace_bytes=0))
    assert advisor.working_bytes(program) > TOO_LARGE_BYTES
    found = split(program, advisor, 100 << 30)
    assert len(found.pieces) == 2
    tiles = [piece.program for piece in found.pieces]
    assert all(max(s.element_count for s in tile.inputs) < 1 << 31 for tile in tiles)
    assert found.working_bytes < 100 << 30


def test_a_plan_shows_it_all() -> None:
    network = Network(list(BLOCK))
    inputs = [TensorSpec("input", "float32", SHAPE)]
    plan = plan_network(network, inputs, advisor=CudaAdvisor(plans=HostPlans()))
    layers = {layer.name: layer for layer in plan.layers}
    assert layers["conv"].algorithm == "cudnn_fused eng0"
    assert layers["act"].fused_into == "conv"
    assert plan.engine_bytes > 0


def test_it_imports_no_compute_library() -> None:
    code = (
        "import sys, convserve_server.engines.cuda.advice as advice;"
        "advice.CudaAdvisor();"
        "print([n for n in ('cupy', 'cudnn', 'onnxruntime', 'scipy') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
