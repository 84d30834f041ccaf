"""Fourier transforms of cuFFT, on memory that the caller gives."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from convserve.tensors import dtype_of

from convserve_server.cache import ByteCache
from convserve_server.engines.cuda.recipe import Transform
from convserve_server.engines.cuda.views import View

PLANS_BYTES = 256 << 20  # of the device's memory that is not of the slab
PLAN_BYTES = 4 << 20  # about what a plan takes beside the workspace that it is given

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
    """The transforms of a device. A plan works in the memory that it was made for.

    So it may run in any stream: whoever has that memory has it alone.
    """

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self._plans: ByteCache[_Key, Any] = ByteCache(PLANS_BYTES)
        self._noted: list[Any] | None = None

    @contextmanager
    def noting(self) -> Iterator[list[Any]]:
        """The plans that run in this block: for who runs them again, kept here or not."""
        noted: list[Any] = []
        self._noted = noted
        try:
            yield noted
        finally:
            self._noted = None

    def run(
        self, transform: Transform, source: int, target: int, workspace: int, stream: Any
    ) -> None:
        """Run a transform on these addresses, behind what the stream was given before."""
        plan = self._plans.get((transform, workspace))
        if plan is None:
            plan, byte_count = self._plan(transform, workspace)
            self._plans.put((transform, workspace), plan, byte_count)
        if self._noted is not None:
            self._noted.append(plan)
        fft = self._cupy.cuda.cufft
        x, y = self._array(transform.source, source), self._array(transform.target, target)
        with stream:
            plan.fft(x, y, fft.CUFFT_INVERSE if transform.inverse else fft.CUFFT_FORWARD)

    def _plan(self, transform: Transform, workspace: int) -> tuple[Any, int]:
        """A new plan, and the bytes that it takes."""
        real = transform.target if transform.kind == "c2r" else transform.source
        sizes = real.shape[-transform.axes :]
        rows = math.prod(real.shape[: -transform.axes])
        kind = getattr(self._cupy.cuda.cufft, _TYPES[transform.kind, transform.source.dtype])

        byte_count = PLAN_BYTES

        def allocate(size: int) -> Any:
            """The caller's memory; where cuFFT wants more, the library's own."""
            nonlocal byte_count
            if size > transform.workspace.byte_count:
                byte_count += size
                return self._cupy.get_default_memory_pool().malloc(size)
            return self._pointer(workspace, transform.workspace.byte_count)

        layout = (None, 1, 0)  # without gaps: the library's default
        with self._cupy.cuda.using_allocator(allocate):
            plan = self._cupy.cuda.cufft.PlanNd(
                sizes, *layout, *layout, kind, rows, "C", len(sizes) - 1, sizes[-1]
            )
        return plan, byte_count

    def _array(self, view: View, address: int) -> Any:
        pointer = self._pointer(address, view.byte_count)
        return self._cupy.ndarray(view.shape, dtype_of(view.dtype), memptr=pointer)

    def _pointer(self, address: int, byte_count: int) -> Any:
        memory = self._cupy.cuda.UnownedMemory(address, byte_count, self, 0)
        return self._cupy.cuda.MemoryPointer(memory, 0)
