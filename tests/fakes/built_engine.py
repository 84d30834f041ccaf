"""The engine of GPUs on a device of host memory that says it is an H200, for servers.

It has what was built for one, and nothing else: as on a GPU, the server must have it built before.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from convserve_server.engines.base import DeviceFacts
from convserve_server.engines.cuda.advice import WORKSPACE_LIMIT_BYTES, workspace_limits
from convserve_server.engines.cuda.engine import CudaEngine
from convserve_server.engines.cuda.plan_store import PlanStore, StoredPlans
from convserve_server.engines.cuda.targets import STORE_BYTES, target_of
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
        store = PlanStore(Path(plan_folder), STORE_BYTES)

        @lru_cache
        def library(precision: str) -> tuple[StoredPlans, ...]:
            limits = workspace_limits(WORKSPACE_LIMIT_BYTES)
            targets = (target_of(device.facts, precision, limit) for limit in limits)
            return tuple(StoredPlans(store, target) for target in targets)

        super().__init__(device, library, lanes)
