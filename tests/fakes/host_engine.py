"""The engine of GPUs on a device of host memory, for servers: `--gpu-engine` takes it."""

from __future__ import annotations

from convserve_server.engines.cuda.engine import CudaEngine

from tests.fakes.host_device import HostDevice, HostPlans


class HostEngine(CudaEngine):
    """Made as the engine of GPUs is. Has a plan for everything; kernels compile as they load."""

    def __init__(self, plan_folder: str, memory_bytes: int, lanes: int) -> None:
        plans = HostPlans()
        device = HostDevice(memory_bytes)
        device.poison()
        super().__init__(device, lambda precision: (plans,), lanes)
