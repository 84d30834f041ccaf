"""Fourier transforms of cuFFT, on memory that the caller gives."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

from convserve.tensors import dtype_of

from convserve_server.cache import ByteCache
from convserve_server.engines.cuda.recipe import Transform
from convserve_server.engines.cuda.views import View

PLANS = 64  # that are kept

# (kind, element type of the source) -> the library's name of it
_TYPES = {
    ("r2c", "float32"): "CUFFT_R2C",
    ("r2c", "float64"): "CUFFT_D2Z",
    ("c2r", "complex64"): "CUFFT_C2R",
    ("c2r", "complex128"): "CUFFT_Z2D",
    ("c2c", "complex64"): "CUFFT_C2C",
    ("c2c", "complex128"): "CUFFT_Z2Z",
}
_Key: TypeAlias = tuple[Transform, int]


class Transforms:
    """The transforms of one stream. A plan works in the memory that it was made for."""

    def __init__(self, cupy: Any, stream: Any) -> None:
        self._cupy = cupy
        self._stream = stream
        self._plans: ByteCache[_Key, Any] = ByteCache(PLANS)

    def run(self, transform: Transform, source: int, target: int, workspace: int) -> None:
        """Run a transform on these addresses, behind what the stream was given before."""
        plan = self._plans.get((transform, workspace))
        if plan is None:
            plan = self._plan(transform, workspace)
            self._plans.put((transform, workspace), plan, 1)
        fft = self._cupy.cuda.cufft
        x, y = self._array(transform.source, source), self._array(transform.target, target)
        with self._stream:
            plan.fft(x, y, fft.CUFFT_INVERSE if transform.inverse else fft.CUFFT_FORWARD)

    def _plan(self, transform: Transform, workspace: int) -> Any:
        real = transform.target if transform.kind == "c2r" else transform.source
        sizes = real.shape[-transform.axes :]
        rows = math.prod(real.shape[: -transform.axes])
        kind = getattr(self._cupy.cuda.cufft, _TYPES[transform.kind, transform.source.dtype])

        def allocate(size: int) -> Any:
            """The caller's memory; where cuFFT wants more, the library's own."""
            if size > transform.workspace.byte_count:
                return self._cupy.get_default_memory_pool().malloc(size)
            return self._pointer(workspace, transform.workspace.byte_count)

        layout = (None, 1, 0)  # without gaps: the library's default
        with self._cupy.cuda.using_allocator(allocate):
            return self._cupy.cuda.cufft.PlanNd(
                sizes, *layout, *layout, kind, rows, "C", len(sizes) - 1, sizes[-1]
            )

    def _array(self, view: View, address: int) -> Any:
        pointer = self._pointer(address, view.byte_count)
        return self._cupy.ndarray(view.shape, dtype_of(view.dtype), memptr=pointer)

    def _pointer(self, address: int, byte_count: int) -> Any:
        memory = self._cupy.cuda.UnownedMemory(address, byte_count, self, 0)
        return self._cupy.cuda.MemoryPointer(memory, 0)
