"""Opens the engine on the GPU of this process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from convserve_server.engines.cuda.advice import WORKSPACE_LIMIT_BYTES, workspace_limits
from convserve_server.engines.cuda.cuda_device import CudaDevice
from convserve_server.engines.cuda.engine import LANES, CudaEngine
from convserve_server.engines.cuda.plan_store import PlanStore, StoredPlans
from convserve_server.engines.cuda.targets import STORE_BYTES, target_of


def open_engine(plan_folder: str, memory_bytes: int = 0, lanes: int = LANES) -> CudaEngine:
    """The engine on the first GPU that the process sees, with what `plan_folder` has for it.

    `memory_bytes` are taken of the GPU's memory; 0 is all that is free, but for a margin.
    """
    device = CudaDevice(memory_bytes)
    store = PlanStore(Path(plan_folder), STORE_BYTES)

    @lru_cache
    def library(precision: str) -> tuple[StoredPlans, ...]:
        """What was built, by the limits of workspaces that the front tries, in its order."""
        targets = (
            target_of(device.facts, precision, limit)
            for limit in workspace_limits(WORKSPACE_LIMIT_BYTES)
        )
        return tuple(StoredPlans(store, target) for target in targets)

    return CudaEngine(device, library, lanes)
