"""A server where CUDA is installed and no driver: it says so, serves, and loads nothing of CUDA."""

import convserve_client as cs
import numpy as np
import pytest
from convserve.errors import DeviceNotFoundError
from convserve_server.planners.libraries import has_driver

from tests.processes import children, mapped_files
from tests.server import start_server

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(has_driver(), reason="for machines without NVIDIA's driver"),
]

LIBRARIES = ("/cupy/", "/cupy_backends/", "/cudnn/", "/nvidia/", "libcuda.so", "libcudart.so")


@pytest.fixture(scope="module")
def server():
    with start_server("--gpus=auto", "--workers=1", "--threads=1") as running:
        yield running


def test_why_there_is_no_gpu_is_told(server):
    with cs.connect(server.address) as client:
        cpu, gpu = client.info().devices
        assert (cpu.name, cpu.available) == ("cpu", True)
        assert (gpu.name, gpu.available) == ("cuda", False)
        assert gpu.description.startswith("no NVIDIA driver: libcuda.so.1")
        with pytest.raises(DeviceNotFoundError, match=r"it has cpu.*cuda: no NVIDIA driver"):
            client.conv(np.ones((1, 1, 4)), np.ones((1, 1, 3)), device="cuda:0")


def test_neither_the_front_nor_a_worker_of_the_cpu_loads_anything_of_cuda(server):
    with cs.connect(server.address) as client:
        y = client.conv(np.ones((1, 1, 4), "f4"), np.ones((1, 1, 3), "f4"))
    assert y.tolist() == [[[3, 3]]]
    processes = (server.pid, *children(server.pid))
    assert len(processes) == 2
    loaded = {path for pid in processes for path in mapped_files(pid)}
    assert any("/numpy/" in path for path in loaded)
    assert not [path for path in loaded if any(name in path for name in LIBRARIES)]
