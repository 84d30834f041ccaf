import subprocess
import sys

import numpy as np
import pytest
from convserve.layers import (
    AvgPool,
    Conv,
    ConvTranspose,
    Dense,
    MaxPool,
    ReLU,
)
from convserve.networks import Network
from convserve.operations import (
    ConvInputGradient,
    Convolve,
    ConvWeightGradient,
    Correlate,
    operation_kind,
)
from convserve.tensors import SYMBOLIC_BATCH, TensorSpec, dtype_of, empty
from convserve_server.engines.cpu.advice import CpuAdvisor
from convserve_server.engines.cpu.engine import CpuEngine
from convserve_server.planning.planner import compile_network, plan_network, plan_operation

LAYERS = {
    "conv": (Conv(4, 3, padding=1, bias=False), (2, 3, 9, 9), (4, 3, 3, 3)),
    "pointwise": (Conv(4, 1, bias=False), (2, 3, 9, 9), (4, 3, 1, 1)),
    "reflect": (
        Conv(4, 3, padding=1, bias=False, padding_mode="reflect"),
        (2, 3, 9, 9),
        (4, 3, 3, 3),
    ),
    "long": (Conv(1, 600, bias=False), (1, 1, 60000), (1, 1, 600)),
    "transposed": (ConvTranspose(4, 3, stride=2, bias=False), (2, 3, 9), (3, 4, 3)),
    "output_padding": (
        ConvTranspose(4, 3, stride=2, dilation=3, output_padding=2, bias=False),
        (2, 3, 9),
        (3, 4, 3),
    ),
    "dense": (Dense(4, bias=False), (2, 3), (4, 3)),
    "max_pool": (MaxPool(2), (2, 3, 9, 9), None),
    "avg_pool": (AvgPool(2), (2, 3, 9, 9), None),
    "relu": (ReLU(), (2, 3, 9, 9), None),
}
EXPECTED = {
    "float32": {
        "long": "overlap_save",
        "output_padding": "im2col",
        **dict.fromkeys(("conv", "pointwise", "reflect", "transposed", "dense"), "onnxruntime"),
        **dict.fromkeys(("max_pool", "avg_pool", "relu"), "onnxruntime"),
    },
    "float64": {
        "long": "overlap_save",
        "pointwise": "matmul",
        "dense": "matmul",
        **dict.fromkeys(("conv", "reflect", "transposed", "output_padding"), "im2col"),
        **dict.fromkeys(("max_pool", "avg_pool", "relu"), "numpy"),
    },
    "int8": {
        "dense": "matmul",
        **dict.fromkeys(("conv", "reflect", "transposed", "long", "pointwise"), "im2col"),
        **dict.fromkeys(("max_pool", "relu"), "numpy"),
    },
}
CASES = [(dtype, name) for dtype, expected in EXPECTED.items() for name in expected]


def compile_case(dtype, name):
    layer, shape, weight_shape = LAYERS[name]
    network = Network([layer])
    specs = [TensorSpec("input", dtype, shape)]
    if weight_shape:
        specs.append(TensorSpec(f"{network.layers[0].name}.weight", dtype, weight_shape))
    return compile_network(network, specs), specs


@pytest.fixture(scope="module")
def engine():
    return CpuEngine()


@pytest.mark.parametrize(("dtype", "name"), CASES)
def test_the_engine_does_what_the_advice_says(engine, dtype, name):
    program, specs = compile_case(dtype, name)
    (step,) = program.steps
    advice = CpuAdvisor().advise(step)
    assert advice.algorithm == EXPECTED[dtype][name]
    assert advice.workspace_bytes >= 0
    tensors = {spec.name: np.ones(spec.shape, dtype_of(spec.dtype)) for spec in specs}
    (record,) = engine.run(program, tensors, {step.output.name: empty(step.output)})
    assert (record.engine, record.algorithm) == (advice.engine, advice.algorithm)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "complex64"])
@pytest.mark.parametrize(
    ("operation", "shapes"),
    [
        (Convolve(), ((400,), (5,))),
        (Convolve(), ((60000,), (900,))),
        (Convolve(method="direct"), ((6000,), (900,))),
        (Correlate(method="fft"), ((20, 20), (3, 3))),
        (Correlate(), ((20, 20), (2, 2))),
        (Convolve(), ((3, 3, 3, 3), (2, 2, 2, 2))),
        (ConvInputGradient((1, 2, 8)), ((1, 3, 6), (3, 2, 3))),
        (ConvWeightGradient(3), ((1, 2, 8), (1, 3, 6))),
    ],
)
def test_the_engine_does_what_the_advice_says_of_operations(engine, dtype, operation, shapes):
    names = {
        "conv_input_gradient": ("grad_output", "weight"),
        "conv_weight_gradient": ("x", "grad_output"),
    }.get(operation_kind(operation), ("a", "v"))
    specs = [TensorSpec(name, dtype, shape) for name, shape in zip(names, shapes, strict=True)]
    step = plan_operation(operation, specs)
    tensors = {spec.name: np.ones(spec.shape, dtype_of(dtype)) for spec in specs}
    advice = CpuAdvisor().advise(step)
    (record,) = engine.run(step, tensors, {step.output.name: empty(step.output)})
    assert (record.engine, record.algorithm) == (advice.engine, advice.algorithm)


def test_columns_are_counted_for_every_thread_and_bounded():
    layer = Conv(64, 3, padding=1, bias=False, name="conv")
    specs = [
        TensorSpec("input", "float64", (1, 64, 512, 512)),
        TensorSpec("conv.weight", "float64", (64, 64, 3, 3)),
    ]
    (step,) = compile_network(Network([layer]), specs).steps
    one, four = (CpuAdvisor(threads).advise(step).workspace_bytes for threads in (1, 4))
    row_bytes = 512 * 64 * 9 * 8
    assert one == (4 << 20) // row_bytes * row_bytes
    assert four == 4 * one


def test_a_transposed_convolution_with_large_columns_goes_in_blocks():
    layer = ConvTranspose(1, 4, stride=2, bias=False, name="t")
    specs = [
        TensorSpec("input", "float32", (1, 1, 2048, 2048)),
        TensorSpec("t.weight", "float32", (1, 1, 4, 4)),
    ]
    (step,) = compile_network(Network([layer]), specs).steps
    advice = CpuAdvisor().advise(step)
    assert advice.algorithm == "im2col"
    assert str(4 * 16 * 2048 * 2048) in advice.reason
    assert advice.workspace_bytes < 32 << 20


def test_reasons_say_what_computes_and_what_is_missing():
    float32, _ = compile_case("float32", "conv")
    float64, _ = compile_case("float64", "conv")
    assert CpuAdvisor().advise(float32.steps[0]).reason == "ONNX Runtime in float32"
    assert "no such product" in CpuAdvisor().advise(float64.steps[0]).reason


def test_a_plan_with_a_symbolic_batch():
    network = Network([Conv(4, 3, bias=False), MaxPool(2), Conv(2, 2, padding_mode="reflect")])
    for dtype in ("float32", "float64", "float16"):
        spec = TensorSpec("input", dtype, (SYMBOLIC_BATCH, 3, 32, 32))
        plan = plan_network(network, [spec], advisor=CpuAdvisor())
        assert all(layer.workspace_bytes >= 0 for layer in plan.layers)


def test_the_advisor_loads_no_compute_library():
    code = (
        "import sys, convserve_server.engines.cpu.advice as advice; advice.CpuAdvisor(); "
        "print(sorted({'onnxruntime', 'onnx', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
