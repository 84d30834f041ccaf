"""The engine of GPUs behind a live server, on a device of host memory."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import convserve_client as cs
import numpy as np
import pytest
import torch
from convserve.errors import InvalidArgumentError
from torch.nn import functional

from tests.networks import unet
from tests.server import start_server

ROOT = str(Path(__file__).parents[2])
CALLERS, CALLS = 8, 40


@pytest.fixture(scope="module")
def client() -> Iterator[cs.Client]:
    flags = ("--gpu-engine=tests.fakes.host_engine:HostEngine", "--gpus=0", "--workers=1")
    memory = ("--gpu-memory-bytes=64MiB", "--tensor-pool-bytes=256MiB")
    environment = {"PYTHONPATH": ROOT}
    with (
        start_server(*flags, *memory, environment=environment) as server,
        cs.connect(server.address) as connected,
    ):
        yield connected
        assert not [event for event in server.events if event["level"] == "error"]


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def test_a_convolution_runs_on_the_gpu(client):
    x, weight = random(2, 3, 17, 19), random(8, 3, 3, 3, seed=1)
    with client.trace() as records:
        y = client.conv(x, weight, padding=1, stride=2)
    expected = functional.conv2d(torch.tensor(x), torch.tensor(weight), padding=1, stride=2)
    np.testing.assert_allclose(y, expected.numpy(), rtol=1e-4, atol=1e-5)
    (record,) = records
    assert (record.device, record.steps[0].engine) == ("cuda:0", "cuda")


def test_a_model_is_called_by_many_at_once(client):
    network = unet(4, depth=2)
    specs = client.plan(network, (1, 3, 16, 16)).layers
    weights = {
        spec.name: np.abs(random(*spec.shape, seed=2)) / max(np.prod(spec.shape[1:]), 1)
        for layer in specs
        for spec in layer.parameters
    }
    inputs = [random(1, 3, 16, 16, seed=seed) for seed in range(CALLS)]
    with client.load(network, weights) as model, ThreadPoolExecutor(CALLERS) as callers:
        alone = [model(x) for x in inputs[:4]]
        results = list(callers.map(model, inputs))
    for one, other in zip(alone, results, strict=False):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert len({result.tobytes() for result in results}) == CALLS


def test_what_values_forbid_is_the_callers_error(client):
    x, weight = (np.full(shape, 1 << 62, np.int64) for shape in ((1, 1, 4), (1, 1, 2)))
    with pytest.raises(InvalidArgumentError, match="integer overflow"):
        client.conv(x, weight)
