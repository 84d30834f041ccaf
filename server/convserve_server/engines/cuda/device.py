"""What carries recipes out: the seam between the engine's logic and CUDA.

`cuda_device.py` is a GPU. The tests have one of host memory, with the same kernels compiled for the
processor: the suites of engine and device run on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from convserve_server.engines.base import DeviceFacts, DeviceLostError
from convserve_server.engines.cuda.graphs import ConvGraph, Prepared
from convserve_server.engines.cuda.recipe import Instance, Transform

__all__ = ["Device", "DeviceLostError", "Executable", "Lane", "Mark", "Replay"]


class Executable(Protocol):
    """A kernel or a plan of cuDNN, loaded."""


class Mark(Protocol):
    """A point in a lane's work."""

    def wait(self) -> None:
        """Block until the lane has come so far. Raises DeviceLostError."""
        ...


class Replay(Protocol):
    """Commands of a lane, recorded to be given again as one."""


class Lane(Protocol):
    """A queue of work that runs in order, and beside that of other lanes. Used by one thread.

    Addresses are of the device's memory. Whatever is given must stay until a later mark is reached.
    """

    def upload(
        self, target: int, pitch: int, source: int, source_pitch: int, width: int, rows: int
    ) -> None:
        """Copy `rows` rows of `width` bytes from host address `source`; pitches are in bytes."""
        ...

    def download(
        self, target: int, pitch: int, source: int, source_pitch: int, width: int, rows: int
    ) -> None:
        """The same, from the device to host address `target`."""
        ...

    def launch(self, kernel: Executable, arguments: bytes, count: int) -> None:
        """Run a kernel for each index from 0 to `count`; `arguments` is its struct."""
        ...

    def convolve(self, plan: Executable, operands: Mapping[str, int], workspace: int) -> None:
        """Run a plan of cuDNN on addresses by role."""
        ...

    def transform(self, transform: Transform, source: int, target: int, workspace: int) -> None:
        """Run a Fourier transform on these addresses."""
        ...

    def mark(self) -> Mark:
        """The point after all that was given so far."""
        ...

    def record(self, give: Callable[[], None]) -> Replay:
        """Record what `give` gives to the lane (no copies, nothing that waits); it does not run."""
        ...

    def replay(self, replay: Replay) -> None:
        """Run what was recorded."""
        ...


class Device(Protocol):
    """A device and its memory: `byte_count` bytes from `base` on, reserved at the start."""

    base: int
    byte_count: int
    facts: DeviceFacts

    def lane(self) -> Lane:
        """A new lane."""
        ...

    def load_kernel(self, instance: Instance, prepared: Prepared) -> Executable:
        """Load a compiled kernel."""
        ...

    def load_plan(self, graph: ConvGraph, prepared: Prepared) -> Executable:
        """Load a plan of cuDNN."""
        ...

    def pin(self, address: int, byte_count: int) -> None:
        """Let lanes copy from and to this host memory without staging, until `unpin` or close."""
        ...

    def unpin(self, address: int) -> None:
        """No lane copies from or to the memory pinned at this address any more."""
        ...

    def close(self) -> None:
        """Give everything back. Idempotent."""
        ...
