"""Lanes of a GPU: several at once, over pinned memory, and the end of a broken one."""

import subprocess
import sys

import numpy as np
import pytest
from convserve.layers import Conv, ReLU
from convserve.networks import Network
from convserve.tensors import TensorSpec
from convserve_server.engines.base import Views
from convserve_server.engines.cuda.engine import CudaEngine
from convserve_server.planning.planner import compile_network

from tests.gpu.machine import relative_error

pytestmark = pytest.mark.gpu

NETWORK = Network([Conv(32, 3, padding=1, name="conv"), ReLU(name="relu")])
SPECS = (
    TensorSpec("input", "float32", (8, 32, 56, 56)),
    TensorSpec("conv.weight", "float32", (32, 32, 3, 3)),
    TensorSpec("conv.bias", "float32", (32,)),
)


def test_lanes_run_at_once_over_pinned_memory(engine: CudaEngine) -> None:
    program = compile_network(NETWORK, SPECS)
    rng = np.random.default_rng(0)
    size = 8 * 32 * 56 * 56
    memory = np.empty(2 * 6 * size, np.float32)
    engine.attach(memoryview(memory))
    try:
        places = memory.reshape(6, 2, 8, 32, 56, 56)
        weights = {
            spec.name: rng.standard_normal(spec.shape, np.float32) / 17 for spec in SPECS[1:]
        }
        begun = []
        for x, y in places:
            x[...] = rng.standard_normal(x.shape, np.float32)
            y[...] = np.nan
            if len(begun) == engine.lanes:
                begun.pop(0).finish()
            begun.append(engine.begin(program, [Views({"input": x, **weights}, {"relu": y})], "k"))
        for each in begun:
            each.finish()
        alone = np.empty_like(places[0, 0])
        for x, y in places:
            engine.run(program, {"input": x.copy(), **weights}, {"relu": alone})
            np.testing.assert_array_equal(y, alone)
    finally:
        engine.forget("k")
        engine.detach(memoryview(memory))


def test_parts_of_a_batch_give_what_each_gives_alone(engine: CudaEngine) -> None:
    program = compile_network(NETWORK, SPECS)
    rng = np.random.default_rng(1)
    weights = {spec.name: rng.standard_normal(spec.shape, np.float32) / 17 for spec in SPECS[1:]}
    parts = []
    for rows in (1, 3, 4):
        x = rng.standard_normal((rows, 32, 56, 56), np.float32)
        parts.append(Views({"input": x, **weights}, {"relu": np.full_like(x, np.nan)}))
    engine.begin(program, parts).finish()
    for part in parts:
        alone = np.empty_like(part.outputs["relu"])
        engine.begin(program, [Views(part.tensors, {"relu": alone})]).finish()
        assert relative_error(part.outputs["relu"], alone) <= 1e-6


def test_an_illegal_address_loses_the_device() -> None:
    """In a process of its own: nothing works in it afterwards."""
    command = [sys.executable, "-m", "tests.gpu.break_device"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert "the GPU cannot be used any more" in result.stdout
