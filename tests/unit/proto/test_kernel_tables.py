from attrs import evolve
from convserve.kernel_tables import kernels_table, kernels_text
from convserve.layers import Conv
from convserve.plans import Kernel, LayerPlan, Plan
from convserve.tensors import TensorSpec

X, Y = (TensorSpec(name, "float32", (1, 8, 4, 4)) for name in ("input", "conv1"))
FAST = Kernel(
    direction="forward",
    name="eng67_k2=1",
    workspace_bytes=131,
    notes=("TENSOR_CORE",),
    rejected_because="strict: tensor cores round float32 to TF32",
)
PLAIN = Kernel(direction="forward", name="eng28", workspace_bytes=51380240, rank=1, chosen=True)
SLOW = Kernel(
    direction="forward", name="eng0", workspace_bytes=0, rank=2, rejected_because="below eng28"
)
GRADIENT = evolve(FAST, direction="weight_gradient")
LAYER = LayerPlan(
    name="conv1",
    kind="conv",
    inputs=("input",),
    output=Y,
    resolved=Conv(8, 1),
    kernels=(FAST, PLAIN, SLOW, GRADIENT),
)


def plan(*layers):
    return Plan(inputs=(X,), outputs=(Y,), layers=layers)


def test_a_line_for_each_direction_says_what_runs_and_why():
    lines = kernels_text(plan(LAYER)).splitlines()
    assert lines[0].split() == [
        "Layer", "Direction", "Kernel", "Rank", "Workspace", "Rejected", "above", "it"
    ]  # fmt: skip
    assert lines[2].split() == [
        *("conv1", "forward", "eng28", "2", "of", "3", "51,380,240", "bytes", "1", "×", "strict:"),
        *("tensor", "cores", "round", "float32", "to", "TF32"),
    ]
    assert lines[3].split()[:5] == ["conv1", "weight_gradient", "none", "of", "1"]


def test_a_layer_of_two_convolutions_has_two_lines():
    twice = evolve(LAYER, kernels=(FAST, PLAIN, FAST, PLAIN, SLOW))
    places = [line.split()[3:6] for line in kernels_text(plan(twice)).splitlines()[2:4]]
    assert places == [["2", "of", "2"], ["2", "of", "3"]]


def test_a_table_has_every_kernel_with_its_verdict():
    lines = kernels_table(LAYER).splitlines()[2:-1]
    assert [line.split()[2] for line in lines] == ["eng67_k2=1", "eng28", "eng0", "eng67_k2=1"]
    assert [line.endswith("chosen") for line in lines] == [False, True, False, False]
    assert "TENSOR_CORE" in lines[0]
    assert lines[2].endswith("below eng28")


def test_nothing_is_said_of_no_kernels():
    assert kernels_text(plan(evolve(LAYER, kernels=()))) == ""
    assert kernels_table(evolve(LAYER, kernels=())) == ""
