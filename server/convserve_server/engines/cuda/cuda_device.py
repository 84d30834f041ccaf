"""An NVIDIA GPU, by CuPy and cuDNN's front end. Only a worker process that owns it imports this."""

from __future__ import annotations

import logging
from typing import Any

from convserve.errors import TooLargeError

from convserve_server.engines.base import DeviceFacts
from convserve_server.engines.cuda import kernels
from convserve_server.engines.cuda.cuda_faults import Faults
from convserve_server.engines.cuda.cuda_lane import CudaLane, Kernel, Libraries
from convserve_server.engines.cuda.cuda_transforms import Transforms
from convserve_server.engines.cuda.findings import MARGIN_BYTES, MARGIN_SHARE
from convserve_server.engines.cuda.graphs import ConvGraph, Prepared
from convserve_server.engines.cuda.recipe import Instance

_GRAIN = 2 << 20  # in which the driver maps memory

_logger = logging.getLogger(__name__)


class CudaDevice:
    """See `Device`. It is the first GPU that the process sees: CUDA_VISIBLE_DEVICES says which."""

    def __init__(self, memory_bytes: int = 0, libraries: Libraries | None = None) -> None:
        """Takes `memory_bytes` of its memory at once; 0 is all that is free, but for a margin."""
        self._libraries = libraries or Libraries.load()
        self._runtime = self._libraries.runtime
        self._faults = Faults(self._runtime.memGetInfo)
        self._runtime.setDevice(0)
        self.byte_count = _slab_bytes(memory_bytes, *self._runtime.memGetInfo())
        self.base: int = self._runtime.malloc(self.byte_count)
        self._handle = self._libraries.cudnn.create_handle()
        self._transforms = Transforms(self._libraries.cupy)
        self._lanes: list[CudaLane] = []
        self._pinned: set[int] = set()
        self._is_closed = False
        self.facts = self._read_facts()

    def lane(self) -> CudaLane:
        """See `Device`."""
        self._lanes.append(CudaLane(self._libraries, self._faults, self._transforms))
        return self._lanes[-1]

    def load_kernel(self, instance: Instance, prepared: Prepared) -> Kernel:
        """See `Device`."""
        with self._faults:
            module = self._libraries.cupy.cuda.function.Module()
            module.load(prepared.blob)
            return Kernel(module, module.get_function(kernels.ENTRY).ptr)

    def load_plan(self, graph: ConvGraph, prepared: Prepared) -> Any:
        """See `Device`."""
        with self._faults:
            plan = self._libraries.cudnn.pygraph(handle=self._handle)
            plan.deserialize(self._handle, list(prepared.blob))  # it takes numbers, and no bytes
            return plan

    def pin(self, address: int, byte_count: int) -> None:
        """See `Device`. Memory that cannot be pinned is copied too, only more slowly.

        It is pinned as one: CUDA copies nothing that lies across two pinned pieces.
        """
        try:
            with self._faults:
                self._runtime.hostRegister(address, byte_count, 0)
        except self._runtime.CUDARuntimeError:
            _logger.warning("%d bytes could not be pinned", byte_count, exc_info=True)
        else:
            self._pinned.add(address)

    def unpin(self, address: int) -> None:
        """See `Device`."""
        if address in self._pinned:
            self._pinned.remove(address)
            with self._faults:
                self._runtime.hostUnregister(address)

    def close(self) -> None:
        """See `Device`."""
        if self._is_closed:
            return
        self._is_closed = True
        for lane in self._lanes:
            lane.close()
        self._libraries.cudnn.destroy_handle(self._handle)
        for address in tuple(self._pinned):
            self.unpin(address)
        self._runtime.free(self.base)

    def _read_facts(self) -> DeviceFacts:
        found = self._runtime.getDeviceProperties(0)
        return DeviceFacts(
            name=found["name"].decode(),
            memory_bytes=self.byte_count,
            compute_capability=f"{found['major']}.{found['minor']}",
            properties=self._libraries.cudnn.create_device_properties(0).serialize(),
            library=self._libraries.cudnn.backend_version_string(),
        )


def _slab_bytes(wanted: int, free: int, total: int) -> int:
    """How much of the device's memory to take."""
    margin = max(MARGIN_BYTES, total // MARGIN_SHARE)
    size = (wanted or free - margin) // _GRAIN * _GRAIN
    if not 0 < size <= free:
        raise TooLargeError(
            f"the engine would take {size} bytes of the GPU's memory, of which {free} are free "
            f"and {margin} are left to the libraries; set fewer, or end what uses the GPU",
            field="memory_bytes",
            metadata={"value": wanted, "free": free, "margin": margin},
        )
    return size
