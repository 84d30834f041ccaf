"""Recipes of random networks, whatever cuDNN has for them, give what the reference gives."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from convserve.tensors import Array, spec_of
from convserve_server.engines.cuda.graphs import ConvGraph
from convserve_server.engines.reference.engine import ReferenceEngine
from convserve_server.planning.planner import compile_network

from tests.fakes.host_device import HostPlans
from tests.planning import plan
from tests.properties.random_networks import random_network
from tests.recipes import RecipeEngine
from tests.tiling import run_whole

SEEDS = range(60)


def random_arrays(seed: int, shapes: dict[str, tuple[int, ...]]) -> dict[str, Array]:
    """Small whole numbers: sums are exact in float32, so engines that agree are equal."""
    rng = np.random.default_rng(seed)
    return {name: rng.integers(-2, 3, shape).astype(np.float32) for name, shape in shapes.items()}


# What cuDNN has: everything, nothing that is fused, nothing, or no convolution with many channels.
HAVING: tuple[Callable[[ConvGraph], bool], ...] = (
    lambda graph: False,
    lambda graph: graph.is_fused,
    lambda graph: True,
    lambda graph: graph.convolution.weight[0] > 2,
)


@pytest.fixture(scope="module")
def engine() -> RecipeEngine:
    return RecipeEngine()


@pytest.mark.parametrize("seed", SEEDS)
def test_random_networks_agree_with_the_reference(engine: RecipeEngine, seed: int) -> None:
    network, shape = random_network(random.Random(seed))
    layers = plan(network, shape).layers
    shapes = {spec.name: spec.shape for layer in layers for spec in layer.parameters}
    arrays = random_arrays(seed, {"input": shape, **shapes})
    arrays |= {name: np.abs(a) + 1 for name, a in arrays.items() if name.endswith("running_var")}
    program = compile_network(network, [spec_of(name, a) for name, a in arrays.items()])
    engine.plans = HostPlans(refuses=HAVING[seed % len(HAVING)])
    expected = run_whole(ReferenceEngine(), program, arrays)
    for name, values in run_whole(engine, program, arrays).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-5)
