"""The GPU's engine, on a device of host memory: given, recorded and replayed, in dirty memory."""

import pytest
from convserve_server.engines.cuda.engine import CudaEngine

from tests.conformance.case import Case, check_case
from tests.conformance.cases import CASES
from tests.fakes.host_device import HostDevice, HostPlans

EVERY = 17  # the recipes of all cases are carried out in test_cuda_host.py


@pytest.fixture(scope="module")
def device() -> HostDevice:
    return HostDevice()


@pytest.fixture(scope="module")
def engine(device: HostDevice) -> CudaEngine:
    plans = HostPlans()
    return CudaEngine(device, lambda precision: (plans,))


@pytest.mark.parametrize("case", CASES[::EVERY], ids=lambda case: case.name)
def test_the_engine_agrees_with_the_reference_each_time(
    engine: CudaEngine, device: HostDevice, case: Case
) -> None:
    for _ in range(3):
        device.poison()
        check_case(engine, case)
    assert engine.free_bytes == device.byte_count
