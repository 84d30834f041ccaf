"""Images on either side of 2^31 elements, where cuDNN's index arithmetic ends."""

import numpy as np
import pytest
from convserve.layers import Conv
from convserve.networks import Network
from convserve.tensors import TensorSpec
from convserve_server.planning.planner import compile_network

from tests.gpu.machine import open_device, open_engine

pytestmark = pytest.mark.gpu

CHANNELS, WIDTH = 8, 1 << 14


@pytest.mark.parametrize("height", [(1 << 14) - 1, (1 << 14) + 1])
def test_an_image_about_2_to_the_31_is_right_at_its_ends(height: int) -> None:
    """The window reads what it writes last, so an index that wraps around is seen."""
    shape = (1, CHANNELS, height, WIDTH)
    specs = [TensorSpec("input", "float16", shape)]
    specs.append(TensorSpec("conv.weight", "float16", (CHANNELS, CHANNELS, 3, 3)))
    program = compile_network(
        Network([Conv(CHANNELS, 3, padding=1, bias=False, name="conv")]), specs
    )
    rng = np.random.default_rng(0)
    row = rng.standard_normal((CHANNELS, 64, WIDTH)).astype(np.float16)
    x = np.tile(row, (1, -(-height // 64), 1))[None, :, :height]
    weight = (rng.standard_normal((CHANNELS, CHANNELS, 3, 3)) / 9).astype(np.float16)
    y = np.full(shape, np.nan, np.float16)
    device = open_device(24 << 30)
    try:
        open_engine(device).run(program, {"input": x, "conv.weight": weight}, {"conv": y})
    finally:
        device.close()
    for at, columns in ((1, 1), (height // 2, WIDTH // 2), (height - 2, WIDTH - 2)):
        window = x[0, :, at - 1 : at + 2, columns - 1 : columns + 2].astype(np.float64)
        expected = np.einsum("kcij,cij->k", weight.astype(np.float64), window)
        np.testing.assert_allclose(y[0, :, at, columns], expected, rtol=1e-2, atol=1e-2)
