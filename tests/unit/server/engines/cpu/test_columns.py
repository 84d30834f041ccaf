"""Against PyTorch in float64, with blocks so small that every case has many."""

import random

import numpy as np
import pytest
import torch
from convserve_server.engines.cpu import columns, windows
from convserve_server.engines.cpu.team import Team
from convserve_server.engines.cpu.windows import Geometry
from torch.nn import functional

CONVS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
SEEDS = range(60)


@pytest.fixture(scope="module")
def team():
    return Team(2)


@pytest.fixture(params=[64, 2000, windows.BLOCK_BYTES], ids=["tiny", "small", "usual"])
def block_bytes(request, monkeypatch):
    monkeypatch.setattr(windows, "BLOCK_BYTES", request.param)
    monkeypatch.setattr(windows, "LEAST_BLOCK_BYTES", min(request.param, 2000))


class RandomConv:
    """A convolution with its tensors, and what PyTorch makes of it and of its gradients."""

    def __init__(self, seed, longest=4):
        draw, generator = random.Random(seed), np.random.default_rng(seed)
        rank = draw.randint(1, 3)
        groups = draw.choice([1, 1, 2, 3])
        kernel = tuple(draw.randint(1, longest if rank < 3 else 4) for _ in range(rank))
        stride, dilation = (tuple(draw.randint(1, 3) for _ in range(rank)) for _ in range(2))
        padding = tuple((draw.randint(0, 3), draw.randint(0, 3)) for _ in range(rank))
        sizes = tuple(
            max(1, d * (k - 1) + 1 - sum(pads)) + draw.randint(0, 5)
            for k, d, pads in zip(kernel, dilation, padding, strict=True)
        )
        channels, filters = groups * draw.randint(1, 3), groups * draw.randint(1, 3)
        self.dtype = draw.choice([np.float64, np.complex128])

        def array(*shape):
            values = generator.standard_normal((*shape, 2)).view(np.complex128)[..., 0]
            return values.astype(self.dtype) if self.dtype is np.complex128 else values.real.copy()

        self.geometry = Geometry(stride, padding, dilation, groups)
        self.x = array(draw.randint(1, 3), channels, *sizes)
        self.weight = array(filters, channels // groups, *kernel)
        self.bias = array(filters)
        flat = [size for pads in reversed(padding) for size in pads]
        x = torch.tensor(self.x, requires_grad=True)
        weight = torch.tensor(self.weight, requires_grad=True)
        y = CONVS[rank](
            functional.pad(x, flat),
            weight,
            torch.tensor(self.bias),
            stride=stride,
            dilation=dilation,
            groups=groups,
        )
        self.y = y.detach().numpy()
        self.grad_output = array(*self.y.shape)
        y.backward(torch.tensor(self.grad_output))
        self.input_gradient, self.weight_gradient = x.grad.numpy(), weight.grad.numpy()


def assert_close(actual, expected):
    assert np.abs(actual - expected).max() <= 1e-12 * max(1, np.abs(expected).max())


@pytest.mark.usefixtures("block_bytes")
def test_conv(team):
    for seed in SEEDS:
        case = RandomConv(seed)
        out = np.full(case.y.shape, np.nan, case.dtype)
        columns.conv(case.x, case.weight, case.bias, out, case.geometry, case.dtype, team)
        assert_close(out, case.y)


@pytest.mark.usefixtures("block_bytes")
def test_conv_of_long_kernels_reads_patches(team):
    for seed in SEEDS:
        case = RandomConv(seed, longest=12)
        out = np.full(case.y.shape, np.nan, case.dtype)
        columns.conv(case.x, case.weight, case.bias, out, case.geometry, case.dtype, team)
        assert_close(out, case.y)


@pytest.mark.usefixtures("block_bytes")
def test_conv_transpose_is_the_input_gradient(team):
    for seed in SEEDS:
        case = RandomConv(seed)
        out = np.full(case.x.shape, np.nan, case.dtype)
        weight = case.weight.conj()
        columns.conv_transpose(case.grad_output, weight, None, out, case.geometry, case.dtype, team)
        assert_close(out, case.input_gradient)


@pytest.mark.usefixtures("block_bytes")
def test_conv_weight_gradient(team):
    for seed in SEEDS:
        case = RandomConv(seed)
        out = np.full(case.weight.shape, np.nan, case.dtype)
        columns.conv_weight_gradient(case.x, case.grad_output, out, case.geometry, case.dtype, team)
        assert_close(out, case.weight_gradient)


def test_views_that_are_not_contiguous(team):
    case = RandomConv(3)
    x = np.moveaxis(np.ascontiguousarray(np.moveaxis(case.x, 1, -1)), -1, 1)
    out = np.full((*case.y.shape, 2), np.nan, case.dtype)[..., 0]
    columns.conv(x, case.weight, case.bias, out, case.geometry, case.dtype, team)
    assert_close(out, case.y)


def test_float32_weight_gradient_over_many_positions_stays_accurate(team):
    generator = np.random.default_rng(0)
    x, grad = (generator.random((4, 1, 1 << 18), np.float32) for _ in range(2))
    out = np.empty((1, 1, 1), np.float32)
    geometry = Geometry((1,), ((0, 0),), (1,), 1)
    columns.conv_weight_gradient(x, grad, out, geometry, np.float32, team)
    expected = np.sum(x.astype(np.float64) * grad)
    assert abs(out.item() - expected) <= 1e-6 * expected


def test_sums_are_the_same_every_time(team):
    generator = np.random.default_rng(0)
    x, grad = (generator.standard_normal((8, 4, 64, 64), np.float32) for _ in range(2))
    geometry = Geometry((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    results = [np.empty((4, 4, 3, 3), np.float32) for _ in range(5)]
    for out in results:
        columns.conv_weight_gradient(x, grad, out, geometry, np.float32, team)
    assert all(np.array_equal(out, results[0]) for out in results)
