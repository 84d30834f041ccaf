"""What a plan for a GPU says of its layers, with answers that a test made up."""

from convserve.layers import Conv, ConvTranspose, Flatten, ReLU, SeparableConv
from convserve.networks import Network
from convserve.operations import Convolve
from convserve.plans import Plan
from convserve.tensors import TensorSpec
from convserve_server.planning.gpu import NOT_ASKED, GpuAdvisor, wanted
from convserve_server.planning.kernels import Candidate, Offer, Policy
from convserve_server.planning.planner import plan_network
from convserve_server.planning.program import OperationStep

from tests.planning import step_of, steps_of

FAST = Candidate("eng67_k2=1_k13=0", 131, ("TENSOR_CORE",))
PLAIN = Candidate("eng28_k2=4", 4096)
OFFER = Offer("cuDNN 9.19.0", (FAST, PLAIN))
POLICY = Policy("strict", 1 << 30)
CONV = Conv(64, 3, padding=1)
SHAPE = (2, 32, 8, 8)


def advisor(answers, **more):
    return GpuAdvisor("h200", 132, POLICY, answers, **more)


def advise(layer, shape=SHAPE, answer=OFFER, *, training=False, dtype="float32"):
    step = step_of(layer, shape, dtype)
    answers = dict.fromkeys(wanted([step], training=training), answer)
    return advisor(answers, training=training).advise(step)


def test_the_chosen_kernel_is_the_algorithm():
    advice = advise(CONV)
    assert (advice.engine, advice.algorithm, advice.workspace_bytes) == (
        "cuda",
        "cudnn eng28",
        4096,
    )
    assert advice.reason == (
        "forward: cuDNN 9.19.0 ranks eng28_k2=4 2 of 2 on h200, with 4096 bytes of workspace; "
        "before it rejected: 1 as strict: tensor cores round float32 to TF32"
    )
    assert [kernel.chosen for kernel in advice.kernels] == [False, True]
    assert advice.caveat == ""


def test_the_best_is_taken_where_it_may_be():
    advice = advise(CONV, dtype="float16")
    assert (advice.algorithm, advice.workspace_bytes) == ("cudnn eng67", 131)
    assert "1 of 2" in advice.reason
    assert "rejected" not in advice.reason


def test_training_asks_for_both_gradients():
    asked = wanted([step_of(CONV, SHAPE)], training=True)
    assert [each.direction for each in asked] == ["forward", "input_gradient", "weight_gradient"]
    advice = advise(CONV, training=True)
    directions = [kernel.direction for kernel in advice.kernels if kernel.chosen]
    assert directions == ["forward", "input_gradient", "weight_gradient"]
    assert advice.gradient_workspace_bytes == 4096
    assert advise(CONV).gradient_workspace_bytes == 0


def test_a_transposed_convolution_is_asked_for_as_a_gradient():
    step = step_of(ConvTranspose(6, 3, stride=2), (2, 4, 5, 5))
    forward, backward, weight = wanted([step], training=True)
    assert (forward.input, forward.output) == ((2, 6, 11, 11), (2, 4, 5, 5))
    directions = [each.direction for each in (forward, backward, weight)]
    assert directions == ["input_gradient", "forward", "weight_gradient"]
    advice = advise(ConvTranspose(6, 3, stride=2), (2, 4, 5, 5), training=True)
    assert [kernel.direction for kernel in advice.kernels[::2]] == [
        "forward",
        "input_gradient",
        "weight_gradient",
    ]


def test_a_separable_convolution_is_two_and_needs_the_larger_workspace():
    step = step_of(SeparableConv(64, 3), SHAPE)
    first, second = wanted([step], training=False)
    small = Offer("cuDNN 9.19.0", (Candidate("eng5", 7),))
    advice = advisor({first: OFFER, second: small}).advise(step)
    assert advice.algorithm == "cudnn eng28, cudnn eng5"
    assert advice.workspace_bytes == 4096
    assert len(advice.kernels) == 3


def test_equal_layers_are_asked_for_once():
    layers = [Conv(32, 3, padding=1), ReLU(), Conv(32, 3, padding=1), Flatten()]
    assert len(wanted(steps_of(layers, SHAPE), training=False)) == 1


def test_a_copy_with_borders_is_workspace():
    advice = advise(Conv(64, 3, padding=1, padding_mode="reflect"))
    assert advice.workspace_bytes == 4096 + 2 * 32 * 10 * 10 * 4


def test_what_may_not_be_used_is_not_an_algorithm():
    advice = advise(CONV, answer=Offer("cuDNN 9.19.0", (FAST,)))
    assert (advice.algorithm, advice.workspace_bytes) == ("", 0)
    assert advice.reason == "forward: none of the 1 kernels of cuDNN 9.19.0 may be used"
    assert advice.caveat == "cuDNN 9.19.0 has no kernel that may be used"
    assert len(advice.kernels) == 1


def test_why_nothing_is_known_is_said():
    advice = advise(CONV, answer="cuDNN is not installed")
    assert (advice.algorithm, advice.reason) == ("", "cuDNN is not installed")
    assert advice.caveat == (
        "the algorithms of some convolutions are not known: cuDNN is not installed"
    )
    assert advisor(None).advise(step_of(CONV, SHAPE)).reason == NOT_ASKED
    assert "asked for other shapes" in advisor({}).advise(step_of(CONV, SHAPE)).reason


def test_images_of_2_to_the_31_elements_are_told_of():
    shape = (1, 64, 4096, 8192)
    assert "one image has 2147483648 elements" in advise(Conv(1, 1), shape).reason
    assert "one image" not in advise(Conv(1, 1), (64, 64, 4096, 8191)).reason


def test_empty_work_and_other_layers_ask_for_nothing():
    for layer, shape in ((CONV, (0, 32, 8, 8)), (ReLU(), SHAPE)):
        step = step_of(layer, shape)
        assert wanted([step], training=True) == ()
        assert advisor({}).advise(step).reason == "no convolution"
    a, v, y = (TensorSpec(name, "float32", (5,)) for name in "avy")
    assert advisor({}).advise(OperationStep(Convolve(), (a, v), y)).engine == "cuda"


def make_plan(answers, explain=True) -> Plan:
    inputs = [TensorSpec("", "float32", SHAPE)]
    return plan_network(
        Network([CONV, ReLU()]), inputs, advisor=answers, device="h200", explain=explain
    )


def test_a_plan_has_kernels_workspace_and_tiles():
    answers = dict.fromkeys(wanted([step_of(CONV, SHAPE)], training=False), OFFER)
    made = make_plan(advisor(answers, caveat="the properties are public ones"))
    conv, relu = made.layers
    assert (conv.engine, conv.algorithm, conv.workspace_bytes) == ("cuda", "cudnn eng28", 4096)
    assert [kernel.name for kernel in conv.kernels] == [FAST.name, PLAIN.name]
    assert (conv.quantization.gemm_m, conv.quantization.multiprocessor_count) == (128, 132)
    assert conv.explanation[-1].startswith("tiles = ceil(rows / 128) * ceil(columns / 64)")
    assert (relu.engine, relu.kernels, relu.quantization) == ("cuda", (), None)
    assert made.notes == ("the properties are public ones",)


def test_a_plan_that_asked_nobody_says_so():
    conv, _ = make_plan(advisor(None), explain=False).layers
    assert (conv.algorithm, conv.algorithm_reason, conv.kernels) == ("", NOT_ASKED, ())
    assert conv.explanation == ()


def test_a_gpu_of_unknown_size_has_no_tiles():
    step = step_of(CONV, SHAPE)
    assert GpuAdvisor("x", 0, POLICY).advise(step).quantization is None
