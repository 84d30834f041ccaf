"""Whatever the engine of GPUs gives to cuDNN, cuDNN has a plan for, by its own planner."""

import json
import os
import subprocess
import sys
from functools import cache

import pytest
from attrs import evolve
from convserve_server.engines.cuda.graphs import ConvGraph
from convserve_server.planning.devices.properties import device_properties
from convserve_server.planning.kernels import MAX_IMAGE_ELEMENTS, Convolution, Policy

from tests.cuda.cases import LIMIT, compiled_fusions, convolution, plain_graphs, stored_fusions
from tests.cuda.driver import make_driver, start_with_driver

pytestmark = pytest.mark.cuda
STRICT, TF32 = Policy("strict", LIMIT), Policy("tf32", LIMIT)
UNIVERSAL = "eng0"
DEVICES = ["h200", "h100", "a100"]

# What cuDNN 9.19 does not do at once, with a driver or without.
NO_FUSION = "no engine for it on this GPU"
NOT_FUSED = {
    "2-D bfloat16 depthwise forward bias silu": NO_FUSION,
    "3-D float32 forward bias silu": "as strict: tensor cores round float32 to TF32",
    **{name: NO_FUSION for name in compiled_fusions() if "float64" in name},
}


class Planner:
    """cuDNN's planner, which remembers what it has prepared."""

    def __init__(self, device):
        from convserve_server.planners.cudnn.planner import CudnnPlanner

        self.prepare = cache(CudnnPlanner(device_properties(device)).prepare)


planner_of = cache(Planner)


@pytest.fixture(params=DEVICES)
def planner(request):
    return planner_of(request.param)


@pytest.fixture
def h200():
    return planner_of("h200")


def engine(prepared):
    return prepared.name.partition("_")[0]


def is_allowed(prepared, dtype, policy):
    """Whether a plan is one, and as the policy has it."""
    strict = dtype == "float32" and policy.precision == "strict"
    forbidden = {"NONDETERMINISTIC", "REDUCED_PRECISION_REDUCTION"}
    forbidden |= {"TENSOR_CORE", "DOWN_CONVERT_INPUTS"} if strict else set()
    return (
        bool(prepared.blob)
        and not prepared.failure
        and prepared.workspace_bytes <= policy.workspace_limit_bytes
        and not forbidden & set(prepared.notes)
    )


def missing(planner, graphs, policy):
    """The names of those without a plan, each with what is said of it."""
    found = {name: planner.prepare(graph, policy) for name, graph in graphs.items()}
    return {
        name: prepared.failure or prepared.name
        for name, prepared in found.items()
        if not is_allowed(prepared, graphs[name].convolution.dtype, policy)
    }


def test_every_convolution_has_a_plan_of_full_precision(planner):
    assert len(plain_graphs()) == 540
    assert missing(planner, plain_graphs(), STRICT) == {}


def test_every_convolution_has_a_plan_with_little_workspace(h200):
    graphs = {name: graph for name, graph in plain_graphs().items() if "float64" not in name}
    assert missing(h200, graphs, evolve(STRICT, workspace_limit_bytes=256 << 20)) == {}


def test_what_is_done_at_once_has_a_kernel_in_store(planner):
    """But where the universal engine alone could do it: two steps are faster."""
    graphs = stored_fusions()
    assert len(graphs) == 3 * 4 * 3 * 5 * 4
    for name, failure in missing(planner, graphs, STRICT).items():
        assert failure.endswith("its eng0 could, which is slow"), name


@pytest.mark.parametrize(
    ("device", "policy"), [("h200", STRICT), ("h200", TF32), ("h100", STRICT), ("a100", TF32)]
)
def test_dense_convolutions_are_fast(device, policy):
    """Of each dtype but float64, along any axes, however the window moves, fused or not."""
    graphs = {
        name: graph
        for name, graph in (plain_graphs() | stored_fusions()).items()
        if not {"float64", "groups", "depthwise"} & set(name.split())
    }
    prepare = planner_of(device).prepare
    engines = {name: engine(prepare(graph, policy)) for name, graph in graphs.items()}
    assert len(engines) == 3 * 3 * 5 * (3 + 4)
    assert {name for name, each in engines.items() if each in (UNIVERSAL, "")} == set()


def test_tf32_is_a_matter_of_policy(h200):
    graph = ConvGraph(convolution(2, "float32"), bias=True, activation="relu")
    strict, tf32 = h200.prepare(graph, STRICT), h200.prepare(graph, TF32)
    assert "TENSOR_CORE" in tf32.notes
    assert tf32.rank < strict.rank
    assert "as strict: tensor cores round float32 to TF32" in strict.reason
    assert strict.reason.startswith("forward: cuDNN 9.19.0, in its ranking A, ranks eng")


def test_the_workspace_is_bounded_by_policy(h200):
    graph = ConvGraph(convolution(2, "float32"))
    usual = h200.prepare(graph, STRICT)
    tight = h200.prepare(graph, Policy("strict", usual.workspace_bytes - 1))
    assert usual.workspace_bytes > tight.workspace_bytes
    assert "is above the limit" in tight.reason


def test_where_nothing_is_allowed_it_is_said_why(h200):
    graph = ConvGraph(convolution(2, "float32"), bias=True, activation="relu")
    found = h200.prepare(graph, Policy("strict", -1))
    assert not found.blob
    assert "as strict: tensor cores" in found.failure
    assert "as its workspace of 0 bytes is above the limit of -1" in found.failure


def test_from_2_to_the_31_elements_on_there_is_one_engine(h200):
    """And none that does more at once: images are cut before they are so large."""
    for rows, is_large in ((8191, False), (8192, True)):
        sizes = (1, 64, 4096, rows), (64, 64, 1, 1), (1, 64, 4096, rows)
        conv = Convolution("forward", "float16", *sizes, (1, 1), ((0, 0), (0, 0)), (1, 1))
        assert (conv.image_elements >= MAX_IMAGE_ELEMENTS) == is_large
        assert (engine(h200.prepare(ConvGraph(conv), STRICT)) == UNIVERSAL) == is_large
        fused = h200.prepare(ConvGraph(conv, bias=True, activation="relu"), STRICT)
        assert bool(fused.failure) == is_large


@pytest.mark.parametrize(
    ("graph", "told"),
    [
        (ConvGraph(convolution(2, "float16"), True, activation="elu", alpha=2.0), "elu of 2"),
        (ConvGraph(convolution(2, "float16"), True, activation="softplus", alpha=0.5), "of 0.5"),
        (ConvGraph(convolution(2, "float16", direction="weight_gradient"), True), "gradient of a"),
        (ConvGraph(convolution(2, "float64"), True, activation="elu", alpha=1.0), NO_FUSION),
    ],
)
def test_what_it_cannot_do_at_once_is_a_failure_and_no_error(h200, graph, told):
    found = h200.prepare(graph, STRICT)
    assert told in found.failure
    assert not found.blob


@pytest.mark.parametrize(
    "graph",
    [
        ConvGraph(convolution(1, "bfloat16")),
        ConvGraph(convolution(2, "float32", direction="weight_gradient")),
        ConvGraph(convolution(3, "float16"), True, True, "relu"),
        ConvGraph(convolution(1, "float32"), True),
    ],
)
def test_a_plan_can_be_loaded_as_it_was_made(h200, graph):
    import cudnn

    prepared = h200.prepare(graph, STRICT)
    assert evolve(Planner("h200").prepare(graph, STRICT), blob=prepared.blob) == prepared
    device = cudnn.create_device_properties(device_properties("h200").text)
    loaded = cudnn.pygraph(device_property=device)
    loaded.deserialize(list(prepared.blob))
    assert loaded.get_workspace_size() == prepared.workspace_bytes


def test_without_a_driver_what_it_would_compile_is_told_and_not_kept(tmp_path):
    program = """
from convserve_server.planners.builds import PlanRequest, decode_built, encode
from convserve_server.planners.cudnn.task import build
from convserve_server.planning.devices.properties import device_properties
from tests.cuda.test_plans import STRICT, compiled_fusions, convolution, ConvGraph
silu = compiled_fusions()["2-D float16 forward bias silu"]
for graph in (silu, ConvGraph(convolution(2, "float16"))):
    built = decode_built(build(encode(PlanRequest(device_properties("h200"), graph, STRICT))))
    print(built.lasts, built.prepared.failure)
"""
    hidden = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    (tmp_path / "libcuda.so.1").write_text("no library")
    done = subprocess.run(
        [sys.executable, "-c", program], env=hidden, capture_output=True, text=True, check=True
    )
    fused, plain = done.stdout.splitlines()
    assert fused.startswith("False ")
    assert "needs NVIDIA's driver" in fused
    assert plain == "True "


def test_stub_what_cudnn_compiles_has_a_plan_of_full_precision(tmp_path):
    """With a stand-in for the driver, the kernels are compiled for the H200 indeed."""
    make_driver(tmp_path)
    parts = [start_with_driver(tmp_path, "tests.cuda.fusions", str(part), "2") for part in (0, 1)]
    lines = [line for part in parts for line in part.communicate()[0].splitlines()]
    told = {name: rest for name, *rest in map(json.loads, lines)}
    assert [part.returncode for part in parts] == [0, 0]
    graphs = compiled_fusions()
    assert told.keys() == graphs.keys()
    for name, (plan, workspace, notes, failure, blob_bytes) in told.items():
        if name in NOT_FUSED:
            assert NOT_FUSED[name] in failure, name
            continue
        assert failure == "", name
        assert "RUNTIME_COMPILATION" in notes, name
        assert plan.partition("_")[0] != UNIVERSAL
        assert workspace <= LIMIT
        assert blob_bytes > 20_000  # the kernel is in it
        assert "float32" not in name or "TENSOR_CORE" not in notes, name
