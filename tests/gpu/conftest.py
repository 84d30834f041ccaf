"""One GPU for all of these tests."""

from collections.abc import Iterator

import pytest
from convserve_server.engines.cuda.cuda_device import CudaDevice
from convserve_server.engines.cuda.engine import CudaEngine

from tests.gpu.machine import open_device, open_engine

MEMORY_BYTES = 4 << 30


@pytest.fixture(scope="session")
def device() -> Iterator[CudaDevice]:
    device = open_device(MEMORY_BYTES)
    yield device
    device.close()


@pytest.fixture(scope="session")
def engine(device: CudaDevice) -> CudaEngine:
    return open_engine(device)
