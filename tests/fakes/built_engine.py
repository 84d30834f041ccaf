"""The engine of GPUs on a device of host memory that says it is an H200, for servers.

It has what was built for one, and nothing else: as on a GPU, the server must have it built before.
"""

from __future__ import annotations

from convserve_server.engines.base import DeviceFacts
from convserve_server.engines.cuda.engine import CudaEngine
from convserve_server.engines.cuda.opening import library_of
from convserve_server.planning.devices.properties import device_properties

from tests.fakes.host_device import HostDevice


class BuiltEngine(CudaEngine):
    """Made as the engine of GPUs is."""

    def __init__(self, plan_folder: str, memory_bytes: int, lanes: int) -> None:
        known = device_properties("h200")
        device = HostDevice(memory_bytes)
        device.facts = DeviceFacts(
            "NVIDIA H200", memory_bytes, properties=known.text, library=known.for_cudnn
        )
        device.poison()
        super().__init__(device, library_of(device.facts, plan_folder), lanes)
