"""Quantized convolutions: scales that are none, and sums beyond int32."""

from collections.abc import Mapping

import numpy as np
import pytest
from convserve import layers as cs
from convserve.errors import InvalidArgumentError
from convserve.layers import Layer
from convserve.networks import Network
from convserve.tensors import Array, empty, spec_of
from convserve_server.engines.base import Engine
from convserve_server.engines.reference.engine import ReferenceEngine
from convserve_server.planning.planner import compile_network
from convserve_server.planning.program import work_outputs

from tests.recipes import RecipeEngine

CHANNELS = 40_000  # times 255 * 255: more than int32 holds


def run(engine: Engine, layer: Layer, tensors: Mapping[str, Array]) -> Array:
    work = compile_network(Network([layer]), [spec_of(*each) for each in tensors.items()])
    outputs = {spec.name: empty(spec) for spec in work_outputs(work)}
    engine.run(work, tensors, outputs)
    (output,) = outputs.values()
    return output


def full(value: float, dtype: str, *shape: int) -> Array:
    return np.full(shape, value, dtype)


def operands(channels: int) -> dict[str, Array]:
    return {
        "input": full(255, "uint8", 1, channels, 2),
        "q.weight": full(255, "uint8", 2, channels, 1),
        "q.input_zero_point": full(0, "uint8", 1),
        "q.weight_zero_point": full(0, "uint8", 2),
    }


def quantized(channels: int) -> dict[str, Array]:
    return operands(channels) | {
        "q.bias": full(2**31 - 1, "int32", 2),
        "q.input_scale": full(0.5, "float32", 1),
        "q.weight_scale": np.array([0.25, 0.125], "float32"),
        "q.output_scale": full(2**22, "float32", 1),
        "q.output_zero_point": full(3, "uint8", 1),
    }


def test_sums_beyond_int32_are_exact() -> None:
    layer, tensors = cs.QuantizedConv(2, 1, name="q"), quantized(CHANNELS)
    result = run(RecipeEngine(), layer, tensors)
    np.testing.assert_array_equal(result, run(ReferenceEngine(), layer, tensors))
    assert len(np.unique(result)) == 2  # one for each scale, not cut to the range of uint8


def test_integer_sums_beyond_int32_are_refused() -> None:
    layer = cs.IntegerConv(2, 1, name="q")
    errors = []
    for engine in (RecipeEngine(), ReferenceEngine()):
        with pytest.raises(InvalidArgumentError, match="integer overflow") as caught:
            run(engine, layer, operands(CHANNELS))
        errors.append((str(caught.value), caught.value.field, caught.value.metadata))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, np.nan])
@pytest.mark.parametrize("role", ["input_scale", "weight_scale", "output_scale"])
def test_a_scale_must_be_finite_and_above_0(role: str, scale: float) -> None:
    tensors = quantized(4)
    tensors[f"q.{role}"][-1] = scale
    with pytest.raises(InvalidArgumentError, match="not a finite number above 0") as caught:
        run(RecipeEngine(), cs.QuantizedConv(2, 1, name="q"), tensors)
    assert caught.value.field == f"tensors['q.{role}']"
