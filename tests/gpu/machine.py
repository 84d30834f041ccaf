"""The GPU of this machine, and what is built for it as a planner process does: without it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from convserve.tensors import Array
from convserve_server.engines.cuda.cuda_device import CudaDevice
from convserve_server.engines.cuda.engine import CudaEngine
from convserve_server.engines.cuda.graphs import ConvGraph, Prepared
from convserve_server.engines.cuda.plan_keys import BuildTarget, key_of
from convserve_server.engines.cuda.probe import look
from convserve_server.engines.cuda.recipe import Instance
from convserve_server.engines.cuda.targets import target_of
from convserve_server.planners.builds import KernelRequest, PlanRequest, decode_built, encode
from convserve_server.planners.tasks import load_task

POISON = 0xFF  # NaN in every floating type
WORKSPACE_BYTES = 1 << 30


def open_device(memory_bytes: int) -> CudaDevice:
    """The GPU. Fails the test, with the reason, where there is none."""
    found = look()
    if not found.gpus:
        pytest.fail(f"these tests need an NVIDIA GPU, and {found.reason}", pytrace=False)
    return CudaDevice(memory_bytes)


def target(device: CudaDevice, precision: str) -> BuildTarget:
    """What plans are made for, by the properties that cuDNN reads off the GPU."""
    return target_of(device.facts, precision, WORKSPACE_BYTES)


def open_engine(device: CudaDevice) -> CudaEngine:
    """An engine that has everything built when it asks for it."""
    shelves: dict[str, BuildingShelf] = {}

    def library(precision: str) -> Sequence[BuildingShelf]:
        shelf = shelves.setdefault(precision, BuildingShelf(target(device, precision)))
        return (shelf,)

    return CudaEngine(device, library)


def poison(device: CudaDevice) -> None:
    """Fill the slab with what no result may come from."""
    import cupy

    cupy.cuda.runtime.memset(device.base, POISON, device.byte_count)
    cupy.cuda.runtime.deviceSynchronize()


class BuildingShelf:
    """See `Shelf`. Builds what it is asked for, as planner processes do, and keeps it."""

    def __init__(self, target: BuildTarget) -> None:
        self.workspace_limit_bytes = target.policy.workspace_limit_bytes
        self._target = target
        self._built: dict[str, Prepared] = {}

    def find(self, graph: ConvGraph) -> Prepared:
        """See `Plans`."""
        request = PlanRequest(self._target.properties, graph, self._target.policy)
        return self._build(graph, "cudnn_build", encode(request))

    def kernel(self, instance: Instance) -> Prepared:
        """See `Shelf`."""
        request = KernelRequest(instance, self._target.architecture)
        return self._build(instance, "cuda_compile", encode(request))

    def _build(self, what: ConvGraph | Instance, task: str, request: bytes) -> Prepared:
        key = key_of(what, self._target)
        if key not in self._built:
            self._built[key] = decode_built(load_task(task)(request)).prepared
        return self._built[key]


def relative_error(actual: Array, expected: Array) -> float:
    """The largest difference, as a share of the largest value."""
    wide = actual.astype(np.float64) - expected.astype(np.float64)
    return float(np.abs(wide).max() / max(np.abs(expected.astype(np.float64)).max(), 1e-30))
