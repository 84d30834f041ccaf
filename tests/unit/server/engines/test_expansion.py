"""Layers that run as several steps: which steps, and what is said of them in all."""

import numpy as np
import pytest
from convserve import layers as cs
from convserve.errors import InvalidArgumentError
from convserve.layers import Layer
from convserve.networks import Network
from convserve.tensors import TensorSpec
from convserve_server.engines import load_engine
from convserve_server.engines.cpu.advice import CpuAdvisor
from convserve_server.engines.cpu.stages import make_stages
from convserve_server.engines.expansion import expand, steps_of
from convserve_server.planning.planner import compile_network
from convserve_server.planning.program import Program

from tests.planning import plan
from tests.running import run_once

SEPARABLE = cs.SeparableConv(6, 3, padding=1, name="s")


def program_of(layers: list[Layer], dtype: str = "float32") -> Program:
    shape = (2, 4, 9, 8)
    weights = [spec for each in plan(layers, shape, dtype=dtype).layers for spec in each.parameters]
    return compile_network(Network(layers), [TensorSpec("input", dtype, shape), *weights])


def test_a_separable_convolution_is_two_convolutions():
    first, second = steps_of(program_of([SEPARABLE]).steps[0])
    assert isinstance(first.layer, cs.Conv)
    assert (first.layer.groups, first.layer.bias) == (4, False)
    assert [spec.name for spec in first.parameters] == ["s.depthwise_weight"]
    assert [spec.name for spec in second.parameters] == ["s.pointwise_weight", "s.bias"]
    assert first.output == second.inputs[0]
    assert second.output.name == "s"


@pytest.mark.parametrize(
    ("dtype", "between"),
    [("float16", "float32"), ("bfloat16", "float32"), ("float64", "float64"), ("int8", "int32")],
)
def test_sums_are_not_rounded_between_the_steps(dtype, between):
    first, second = steps_of(program_of([SEPARABLE], dtype).steps[0])
    assert first.output.dtype == between
    assert second.output.dtype == ("int64" if dtype == "int8" else dtype)


def test_other_layers_stay_as_they_are():
    program = program_of([cs.Conv(4, 3), cs.ReLU()])
    assert expand(program) == program


def test_in_float32_all_steps_are_one_graph_with_their_neighbours():
    layers = [cs.Conv(4, 3), SEPARABLE, cs.ReLU(), cs.SubPixelConv(2, 3, 2), cs.DepthwiseConv(3)]
    (stage,) = make_stages(program_of(layers), CpuAdvisor(2))
    assert [type(step.layer).__name__ for step in stage.steps] == [
        "Conv", "Conv", "Conv", "ReLU", "Conv", "PixelShuffle", "Conv"
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "complex64"])
def test_a_plan_names_the_algorithms_that_run(dtype):
    layers = [SEPARABLE, cs.SubPixelConv(2, 3, 2, name="p"), cs.DepthwiseConv(3, name="d")]
    program, advisor = program_of(layers, dtype), CpuAdvisor(2)
    tensors = {
        spec.name: np.zeros(spec.shape, spec.dtype if spec.dtype != "bfloat16" else "float32")
        for step in program.steps
        for spec in (*step.inputs, *step.parameters)
    }
    outputs = {"d": np.empty(program.steps[-1].output.shape, program.steps[-1].output.dtype)}
    records = load_engine("cpu", threads=2).run(program, tensors, outputs)
    advices = [advisor.advise(step) for step in program.steps]
    assert [record.name for record in records] == ["s", "p", "d"]
    assert [(r.engine, r.algorithm) for r in records] == [(a.engine, a.algorithm) for a in advices]


def test_working_memory_counts_what_lies_between():
    (step,) = program_of([SEPARABLE], "float64").steps
    between = 2 * 4 * 9 * 8 * 8
    parts = [CpuAdvisor(1).advise(part).workspace_bytes for part in steps_of(step)]
    assert CpuAdvisor(1).advise(step).workspace_bytes == between + max(parts)


@pytest.mark.parametrize("engine", ["reference", "cpu"])
def test_overflow_names_the_weight_of_its_step(engine):
    weights = {
        "s.depthwise_weight": np.full((1, 1, 1), 2**15 - 1, np.int16),
        "s.pointwise_weight": np.full((1, 1, 1), 2**62, np.int64),
    }
    layer = cs.SeparableConv(1, 1, bias=False, name="s")
    for value, role in ((2, "pointwise_weight"), (2**31 - 1, "depthwise_weight")):
        x = np.full((1, 1, 1), value, np.int16 if value == 2 else np.int32)
        if role == "depthwise_weight":
            weights["s.depthwise_weight"] = np.full((1, 1, 1), 2**40, np.int64)
        with pytest.raises(InvalidArgumentError, match="integer overflow") as caught:
            run_once(load_engine(engine), layer, {"input": x, **weights})
        assert caught.value.field == f"tensors['s.{role}']"
