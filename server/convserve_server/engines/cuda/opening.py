"""Opens the engine on the GPU of this process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from convserve_server.engines.base import DeviceFacts
from convserve_server.engines.cuda.advice import WORKSPACE_LIMIT_BYTES, workspace_limits
from convserve_server.engines.cuda.cuda_device import CudaDevice
from convserve_server.engines.cuda.engine import LANES, CudaEngine
from convserve_server.engines.cuda.loading import Library
from convserve_server.engines.cuda.plan_store import PlanStore, StoredPlans
from convserve_server.engines.cuda.targets import STORE_BYTES, target_of


def open_engine(plan_folder: str, memory_bytes: int = 0, lanes: int = LANES) -> CudaEngine:
    """The engine on the first GPU that the process sees, with what `plan_folder` has for it.

    `memory_bytes` are taken of the GPU's memory; 0 is all that is free, but for a margin.
    """
    device = CudaDevice(memory_bytes)
    return CudaEngine(device, library_of(device.facts, plan_folder), lanes)


def library_of(facts: DeviceFacts, plan_folder: str) -> Library:
    """What `plan_folder` has for a GPU, by the limits of workspaces in the front's order."""
    store = PlanStore(Path(plan_folder), STORE_BYTES)

    @lru_cache
    def library(precision: str) -> tuple[StoredPlans, ...]:
        limits = workspace_limits(WORKSPACE_LIMIT_BYTES)
        return tuple(StoredPlans(store, target_of(facts, precision, limit)) for limit in limits)

    return library
