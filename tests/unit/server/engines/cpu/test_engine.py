"""What the conformance suite does not ask: values that are not finite, caches, memory, layouts."""

import numpy as np
import pytest
import torch
from convserve.errors import InvalidArgumentError
from convserve.layers import (
    Add,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool,
    ReLU,
    Sigmoid,
    Upsample,
)
from convserve.networks import Network
from convserve.operations import Convolve
from convserve.tensors import dtype_of, empty, spec_of
from convserve_server.engines.cpu.advice import CpuAdvisor
from convserve_server.engines.cpu.engine import CpuEngine
from convserve_server.engines.cpu.stages import make_stages
from convserve_server.planning.planner import compile_network, plan_operation
from torch.nn import functional

from tests.running import run_once


@pytest.fixture(scope="module")
def engine():
    return CpuEngine()


def random(*shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype_of(dtype))


def run_network(engine, network, tensors, key=""):
    program = compile_network(network, [spec_of(name, array) for name, array in tensors.items()])
    outputs = {
        s.output.name: empty(s.output) for s in program.steps if s.output.name in program.outputs
    }
    records = engine.run(program, tensors, outputs, key)
    return outputs, records


@pytest.mark.parametrize("value", [np.nan, -np.inf, np.inf])
def test_max_pools_keep_what_is_not_finite_inside_a_network(engine, value):
    network = Network(
        [Add(name="twice", inputs=("input", "input")), MaxPool(2, name="pool", inputs="twice")]
    )
    x = random(1, 16, 6, 6)
    x[0, 3, 2:4, 2:4] = value
    x[0, 5, 0, 0] = value
    outputs, _ = run_network(engine, network, {"input": x})
    expected = functional.max_pool2d(torch.tensor(x + x), 2).numpy()
    np.testing.assert_array_equal(outputs["pool"], expected)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_global_max_pool_of_minus_infinity(engine, dtype):
    x = np.full((1, 2, 3, 3), -np.inf, dtype_of(dtype))
    result = run_once(engine, GlobalMaxPool(), {"input": x})
    assert np.all(result.astype(np.float32) == -np.inf)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_round_once_per_layer(engine, dtype):
    half = dtype_of(dtype)
    network = Network([Conv(8, 3, name="a"), ReLU(), Conv(4, 3, name="b")])
    tensors = {
        "input": random(2, 4, 12, 12, dtype=dtype),
        "a.weight": random(8, 4, 3, 3, dtype=dtype, seed=1),
        "a.bias": random(8, dtype=dtype, seed=2),
        "b.weight": random(4, 8, 3, 3, dtype=dtype, seed=3),
        "b.bias": random(4, dtype=dtype, seed=4),
    }
    outputs, _ = run_network(engine, network, tensors)
    wide = {name: torch.tensor(array.astype(np.float64)) for name, array in tensors.items()}
    middle = functional.conv2d(wide["input"], wide["a.weight"], wide["a.bias"])
    middle = torch.tensor(middle.numpy().astype(half).astype(np.float64)).relu()
    exact = functional.conv2d(middle, wide["b.weight"], wide["b.bias"]).numpy().astype(half)
    different = np.mean(outputs["b"] != exact)
    assert different < 0.02  # sums in float32 fall on the other side of a rounding now and then


def test_a_long_kernel_goes_direct_where_an_fft_would_spread_a_nan(engine):
    layer = Conv(1, 600, bias=True, name="conv")
    tensors = {
        "input": random(2, 1, 60000),
        "conv.weight": random(1, 1, 600, seed=1),
        "conv.bias": random(1, seed=2),
    }
    outputs, (fast,) = run_network(engine, Network([layer]), tensors)
    expected = functional.conv1d(*(torch.tensor(t) for t in tensors.values())).numpy()
    assert fast.algorithm == "overlap_save"
    assert np.abs(outputs["conv"] - expected).max() <= 1e-5 * np.abs(expected).max()
    tensors["input"] = tensors["input"].copy()
    tensors["input"][1, 0, 100] = np.nan
    outputs, (slow,) = run_network(engine, Network([layer]), tensors)
    assert slow.algorithm == "onnxruntime"
    assert np.count_nonzero(np.isnan(outputs["conv"])) == 101


def test_a_signal_goes_direct_where_an_fft_would_overflow(engine):
    a, v = np.full(60000, 1e30, np.float32), np.full(900, 1e4, np.float32)
    step = plan_operation(Convolve(), [spec_of("a", a), spec_of("v", v)])
    out = empty(step.output)
    (record,) = engine.run(step, {"a": a, "v": v}, {"output": out})
    assert record.algorithm == "onnxruntime"
    assert np.isfinite(out).all()
    assert out[30000] == pytest.approx(900 * 1e34, rel=1e-5)


def test_integers_that_could_overflow_are_refused(engine):
    x = np.full((1, 1, 4), 2**20, np.int32)
    w = np.full((1, 1, 2), 2**45, np.int64)
    with pytest.raises(InvalidArgumentError, match="overflow") as caught:
        run_once(engine, Conv(1, 2, bias=False, name="c"), {"input": x, "c.weight": w})
    assert caught.value.field == "tensors['c.weight']"


@pytest.mark.parametrize("largest", [10, 1 << 20, 1 << 29])
def test_integers_are_exact_in_every_type_that_computes_them(engine, largest):
    generator = np.random.default_rng(0)
    x, w = (generator.integers(-largest, largest, (1, 2, 9)) for _ in range(2))
    w = w[:, :, :3]
    result = run_once(engine, Conv(1, 3, bias=False, name="c"), {"input": x, "c.weight": w})
    expected = functional.conv1d(torch.tensor(x), torch.tensor(w)).numpy()
    np.testing.assert_array_equal(result, expected)


def test_results_go_into_views_and_inputs_are_not_written(engine):
    network = Network([Conv(4, 3, name="c"), Sigmoid(name="s")], outputs=("c", "s"))
    tensors = {
        "input": np.moveaxis(random(2, 9, 9, 3), -1, 1),
        "c.weight": random(4, 3, 3, 3),
        "c.bias": random(4),
    }
    for array in tensors.values():
        array.flags.writeable = False
    specs = [spec_of(name, array) for name, array in tensors.items()]
    program = compile_network(network, specs)
    plain = {name: np.empty((2, 4, 7, 7), np.float32) for name in ("c", "s")}
    views = {name: np.moveaxis(np.empty((2, 7, 7, 4), np.float32), -1, 1) for name in plain}
    engine.run(program, tensors, plain)
    engine.run(program, tensors, views)
    for name, array in plain.items():
        np.testing.assert_array_equal(views[name], array)


def test_a_program_is_cut_where_onnx_runtime_ends():
    network = Network(
        [
            Conv(1, 600, padding=300, name="long"),
            ReLU(name="relu"),
            Flatten(name="flat"),
            Dense(3, name="dense"),
        ]
    )
    shapes = {
        "input": (1, 1, 60000),
        "long.weight": (1, 1, 600),
        "long.bias": (1,),
        "dense.weight": (3, 60001),
        "dense.bias": (3,),
    }
    tensors = [spec_of(name, np.empty(shape, np.float32)) for name, shape in shapes.items()]
    stages = make_stages(compile_network(network, tensors), CpuAdvisor())
    assert [[s.output.name for s in stage.steps] for stage in stages] == [
        ["long"],
        ["relu", "flat", "dense"],
    ]
    assert [stage.finished for stage in stages] == [("input",), ("long",)]


def test_a_layer_that_nobody_reads_is_recorded_and_harmless(engine):
    network = Network([ReLU(name="kept"), Sigmoid(name="dead", inputs="input")], outputs="kept")
    for dtype in ("float32", "float64"):
        x = random(1, 2, 3, dtype=dtype)
        outputs, records = run_network(engine, network, {"input": x})
        np.testing.assert_array_equal(outputs["kept"], np.maximum(x, 0))
        assert {record.name for record in records} == {"kept", "dead"}


def test_memory_that_is_not_there_is_a_memory_error(engine):
    network = Network([Upsample(2**16), GlobalAvgPool()])  # between them: 2**46 bytes
    with pytest.raises(MemoryError):
        run_network(engine, network, {"input": random(1, 1, 64, 64)})
