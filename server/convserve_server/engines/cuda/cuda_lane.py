"""A lane of a GPU: a stream, and the libraries' handles that are bound to it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from attrs import frozen

from convserve_server.engines.cuda.cuda_faults import Faults
from convserve_server.engines.cuda.cuda_transforms import Transforms
from convserve_server.engines.cuda.graphs import ROLES
from convserve_server.engines.cuda.recipe import Transform

THREADS = 256  # of a block: the kernels' launch bounds
_MAX_BLOCKS = 2**31 - 1
_UIDS = {role: uid for uid, role in enumerate(ROLES, start=1)}


@frozen
class Libraries:
    """CuPy and cuDNN's front end, with the parts of CuPy that call CUDA as it is."""

    cupy: Any
    cudnn: Any
    runtime: Any
    driver: Any

    @classmethod
    def load(cls) -> Libraries:
        """Import them. Raises ImportError where the extra `cuda` is not installed."""
        import cudnn
        import cupy
        import cupy.cuda.cufft
        from cupy_backends.cuda.api import driver

        return cls(cupy, cudnn, cupy.cuda.runtime, driver)


@frozen(eq=False)
class Kernel:
    """A loaded kernel. The module is unloaded when nothing refers to it any more."""

    module: Any
    function: int


@frozen(eq=False)
class CudaMark:
    """See `Mark`."""

    event: Any
    faults: Faults

    def wait(self) -> None:
        """See `Mark`. Sleeps meanwhile, without the interpreter's lock."""
        with self.faults:
            self.event.synchronize()


@frozen(eq=False)
class CudaReplay:
    """See `Replay`. What the graph runs must stay as long: `plans` are those of transforms."""

    graph: Any
    plans: Sequence[Any]


class CudaLane:
    """See `Lane`."""

    def __init__(self, libraries: Libraries, faults: Faults, transforms: Transforms) -> None:
        self._runtime = libraries.runtime
        self._driver = libraries.driver
        self._cupy = libraries.cupy
        self._cudnn = libraries.cudnn
        self._faults = faults
        self.stream = self._cupy.cuda.Stream(non_blocking=True)
        self._handle = self._cudnn.create_handle()
        self._cudnn.set_stream(self._handle, self.stream.ptr)
        self._transforms = transforms

    def upload(
        self, target: int, pitch: int, source: int, source_pitch: int, width: int, rows: int
    ) -> None:
        """See `Lane`."""
        kind = self._runtime.memcpyHostToDevice
        self._copy(kind, target, pitch, source, source_pitch, width, rows)

    def download(
        self, target: int, pitch: int, source: int, source_pitch: int, width: int, rows: int
    ) -> None:
        """See `Lane`."""
        kind = self._runtime.memcpyDeviceToHost
        self._copy(kind, target, pitch, source, source_pitch, width, rows)

    def launch(self, kernel: Any, arguments: bytes, count: int) -> None:
        """See `Lane`. The driver copies the arguments before it returns."""
        block = ctypes.create_string_buffer(arguments, len(arguments))
        parameters = (ctypes.c_void_p * 1)(ctypes.addressof(block))
        blocks = min(-(-count // THREADS), _MAX_BLOCKS)
        grid = (blocks, 1, 1, THREADS, 1, 1)
        with self._faults:
            self._driver.launchKernel(
                kernel.function, *grid, 0, self.stream.ptr, ctypes.addressof(parameters), 0
            )

    def convolve(self, plan: Any, operands: Mapping[str, int], workspace: int) -> None:
        """See `Lane`. A deserialised graph has one plan, of index 0."""
        pointers = {_UIDS[role]: address for role, address in operands.items()}
        with self._faults:
            plan.execute_plan_at_index(pointers, workspace, 0, handle=self._handle)

    def transform(self, transform: Transform, source: int, target: int, workspace: int) -> None:
        """See `Lane`."""
        with self._faults:
            self._transforms.run(transform, source, target, workspace, self.stream)

    def mark(self) -> CudaMark:
        """See `Lane`."""
        with self._faults:
            event = self._cupy.cuda.Event(block=True, disable_timing=True)
            event.record(self.stream)
        return CudaMark(event, self._faults)

    def record(self, give: Callable[[], None]) -> CudaReplay:
        """See `Lane`. A capture that fails is ended all the same: the stream stays of use."""
        with self._faults, self._transforms.noting() as plans:
            self.stream.begin_capture()
            try:
                give()
            except BaseException:
                with suppress(Exception):  # it says that nothing of use was captured
                    self.stream.end_capture()
                raise
            return CudaReplay(self.stream.end_capture(), plans)

    def replay(self, replay: Any) -> None:
        """See `Lane`."""
        with self._faults:
            replay.graph.launch(self.stream)

    def close(self) -> None:
        """Wait for all that was given, and give the handles back."""
        self.stream.synchronize()
        self._cudnn.destroy_handle(self._handle)

    def _copy(self, kind: int, target: int, pitch: int, source: int, *size: int) -> None:
        source_pitch, width, rows = size
        stream = self.stream.ptr
        with self._faults:
            if rows == 1 or pitch == source_pitch == width:
                self._runtime.memcpyAsync(target, source, width * rows, kind, stream)
            else:
                self._runtime.memcpy2DAsync(
                    target, pitch, source, source_pitch, width, rows, kind, stream
                )
