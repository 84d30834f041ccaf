"""torch modules on a live server: planned, run and loaded with their own shapes and weights."""

from __future__ import annotations

import convserve_client as cs
import numpy as np
import pytest
import torch
from torch import nn

from tests.clients import KINDS, connected

SHAPE = (2, 3, 16, 16)


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5), nn.Softmax(1)),
    ).eval()


@pytest.fixture(scope="module")
def network(module):
    return cs.from_torch(module, SHAPE)


@pytest.mark.parametrize("kind", KINDS)
def test_run_load_and_plan(kind, server, module, network):
    x = np.random.default_rng(0).random(SHAPE, np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    with connected(kind, server.address) as client:
        np.testing.assert_allclose(client.run(network, x), expected, atol=1e-6)
        with client.load(network) as model:
            np.testing.assert_allclose(model(x), expected, atol=1e-6)
        plan = client.plan(network)
        assert plan.output_shape == (2, 5)
        assert client.plan(network, ("N", 3, 32, 32)).output_shape == ("N", 5)


def test_other_weights_may_be_given(server, network):
    zeros = {name: np.zeros_like(values) for name, values in network.weights.items()}
    zeros["1.running_var"] += 1
    x = np.ones(SHAPE, np.float32)
    with cs.connect(server.address) as client:
        np.testing.assert_allclose(client.run(network, x, weights=zeros), 0.2)
        with pytest.raises(cs.InvalidNetworkError, match="missing"):
            client.run(network, x, weights={})
