"""Plans made from published properties, with no GPU, run on the GPU that they were made for."""

import numpy as np
import pytest
from convserve_server.engines.cuda.cuda_device import CudaDevice
from convserve_server.engines.cuda.graphs import INPUT, OUTPUT, WEIGHT, ConvGraph
from convserve_server.engines.cuda.plan_keys import BuildTarget
from convserve_server.planning.devices.properties import device_properties, property_devices
from convserve_server.planning.kernels import FORWARD, Convolution, Policy

from tests.gpu.machine import WORKSPACE_BYTES, BuildingShelf, target

pytestmark = pytest.mark.gpu

SHAPE = (4, 64, 28, 28)
GRAPH = ConvGraph(
    Convolution(FORWARD, "float32", SHAPE, (64, 64, 1, 1), SHAPE, (1, 1), ((0, 0), (0, 0)), (1, 1)),
)


def published(device: CudaDevice) -> BuildTarget:
    """By the properties that this project has of the GPU's model."""
    model = device.facts.name.lower().replace(" ", "")
    names = [name for name in property_devices() if name in model]
    if not names:
        pytest.skip(f"no properties of {device.facts.name} are known")
    return BuildTarget(device_properties(names[0]), Policy("strict", WORKSPACE_BYTES))


@pytest.mark.parametrize("made_for", [published, lambda device: target(device, "strict")])
def test_a_plan_that_was_made_without_the_gpu_runs_on_it(device: CudaDevice, made_for) -> None:
    prepared = BuildingShelf(made_for(device)).find(GRAPH)
    plan, lane = device.load_plan(GRAPH, prepared), device.lane()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 28, 28, 64), np.float32)
    weight = rng.standard_normal((64, 64), np.float32)
    y = np.full_like(x, np.nan)
    at = {INPUT: device.base, WEIGHT: device.base + x.nbytes}
    at[OUTPUT] = at[WEIGHT] + weight.nbytes
    lane.upload(at[INPUT], x.nbytes, x.ctypes.data, x.nbytes, x.nbytes, 1)
    size = weight.nbytes
    lane.upload(at[WEIGHT], size, weight.ctypes.data, size, size, 1)
    workspace = -(-(at[OUTPUT] + y.nbytes) // 256) * 256
    lane.convolve(plan, at, workspace)
    lane.download(y.ctypes.data, y.nbytes, at[OUTPUT], y.nbytes, y.nbytes, 1)
    lane.mark().wait()
    np.testing.assert_allclose(y, x @ weight.T, rtol=1e-4, atol=1e-4)
