"""A converted module gives what torch gives: small ones by both ways of tracing, and networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from convserve_client import from_torch
from torch import nn

from tests.torch_networks import build, enliven, run_own
from tests.unit.client.from_torch.modules import MODULES, RANK_2, OfShapes

EXACT = 1e-12  # of float64, relative to the largest value: nothing but rounding differs
SINGLE = 1e-4  # of float32, through a hundred layers

# torchvision's networks with blocks of every sort, and inputs that leave something to pool
NETWORKS = {
    "convnext_tiny": (2, 3, 32, 32),
    "deeplabv3_mobilenet_v3_large": (2, 3, 33, 47),
    "densenet121": (2, 3, 32, 32),
    "efficientnet_b0": (2, 3, 32, 32),
    "googlenet": (2, 3, 32, 32),
    "mobilenet_v3_small": (2, 3, 32, 32),
    "lraspp_mobilenet_v3_large": (2, 3, 33, 47),
    "mc3_18": (2, 3, 2, 16, 16),
    "regnet_y_400mf": (2, 3, 64, 64),
    "resnet18": (2, 3, 32, 32),
    "shufflenet_v2_x0_5": (2, 3, 32, 32),
    "squeezenet1_1": (2, 3, 64, 64),
}


@pytest.fixture(autouse=True)
def one_thread():
    """torch's threads spin at every small layer, for seconds where the cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def values_of(shape, dtype):
    generator = torch.Generator().manual_seed(2)
    return torch.rand(shape, dtype=dtype, generator=generator) - 0.3


def assert_equal_values(module, x, tolerance):
    """The network of the module computes what the module does, each of its results."""
    network = from_torch(module, tuple(x.shape))
    with torch.no_grad():
        result = module(x.clone())  # a clone, for what works in place
    expected = list(result.values()) if isinstance(result, dict) else [result]
    outputs = run_own(network, x.numpy())
    for name, want in zip(network.outputs, expected, strict=True):
        assert outputs[name].shape == want.shape
        assert np.abs(outputs[name] - want.numpy()).max() <= tolerance * want.abs().max().item()


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("wrap", [nn.Sequential, OfShapes], ids=["fx", "export"])
@pytest.mark.parametrize("name", MODULES)
def test_modules(name, wrap):
    module, shape = MODULES[name]
    x = values_of(shape, torch.float64)
    assert_equal_values(wrap(enliven(module.double(), x)), x, EXACT)


def test_power_pools():  # `export` traces them into functions such as sign, which have no layer
    module = nn.Sequential(nn.LPPool2d(2, 3, 2), nn.LPPool2d(4, (2, 3), ceil_mode=True))
    assert_equal_values(module, values_of(RANK_2, torch.float64), EXACT)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    module, x = lively(name, torch.float64)
    assert_equal_values(module, x, EXACT)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "resnet18"])
def test_networks_in_single_precision(name):
    module, x = lively(name, torch.float32)
    assert_equal_values(module, x, SINGLE)


def lively(name, dtype):
    """A network of torchvision, and an input for it."""
    _, *sizes = shape = NETWORKS[name]
    module = build(name).to(dtype)
    return enliven(module, values_of((4, *sizes), dtype)), values_of(shape, dtype)
