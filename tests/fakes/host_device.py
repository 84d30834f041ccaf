"""A device of host memory: the engine's kernels compiled for the processor, and NumPy for cuDNN.

Addresses are real ones. What a lane is given runs only when a mark behind it is waited for, as late
as a device may be.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from threading import Lock

import numpy as np
import scipy.fft
from convserve.tensors import Array
from convserve_server.engines.base import DeviceFacts
from convserve_server.engines.cuda import kernels
from convserve_server.engines.cuda.graphs import ConvGraph, Prepared
from convserve_server.engines.cuda.recipe import Instance, Transform
from convserve_server.engines.cuda.views import View, contiguous

from tests.fakes.host_convolution import array_at, compute_graph

POISON = 0xFF  # NaN in every floating type
_CACHE = Path(gettempdir()) / f"convserve-host-kernels-{os.getuid()}"
_COMPILE = ("g++", "-std=c++17", "-O1", "-Wall", "-Wno-unknown-pragmas", "-Werror", "-shared")

Kernel = Callable[[bytes], None]


@cache
def kernels_of(file: str) -> dict[Instance, Kernel]:
    """All kernels of a header for the processor; those compiled before are found again."""
    instances = [each for each in kernels.all_instances() if each.file == file]
    names = {instance: f"kernel{n}" for n, instance in enumerate(instances)}
    source = "".join(kernels.source_of(instance, name) for instance, name in names.items())
    library = ctypes.CDLL(str(_compiled(source)))
    return {instance: _function(library, name) for instance, name in names.items()}


def _compiled(source: str) -> Path:
    text = "".join((*kernels.headers().values(), source, *_COMPILE))
    path = _CACHE / f"{hashlib.sha256(text.encode()).hexdigest()}.so"
    if not path.exists():
        _CACHE.mkdir(exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        folder = Path(kernels.__file__).parent
        command = [*_COMPILE, "-fPIC", "-I", str(folder), "-x", "c++", "-", "-o", str(partial)]
        subprocess.run(command, input=source.encode(), check=True)
        partial.rename(path)
    return path


def _function(library: ctypes.CDLL, name: str) -> Kernel:
    function = library[name]
    function.argtypes, function.restype = (ctypes.c_char_p,), None
    return lambda arguments: function(arguments)


class HostPlans:
    """Plans for a `HostDevice`: cuDNN "has" every graph but those that `refuses` tells of."""

    def __init__(
        self,
        refuses: Callable[[ConvGraph], bool] = lambda graph: False,
        workspace_bytes: int = 1 << 10,
    ) -> None:
        self.workspace_limit_bytes = 1 << 20
        self._refuses = refuses
        self._workspace_bytes = workspace_bytes

    def find(self, graph: ConvGraph) -> Prepared:
        """See `Plans`."""
        if self._refuses(graph):
            return Prepared(failure="the host device was told to refuse it")
        return Prepared("eng0_host", self._workspace_bytes, reason="NumPy", blob=b"host")

    def kernel(self, instance: Instance) -> Prepared:
        """See `Plans`: kernels of the host are compiled when they are loaded."""
        return Prepared(str(instance), blob=b"host")


class HostMark:
    """See `Mark`."""

    def __init__(self, lane: HostLane, count: int) -> None:
        self._lane = lane
        self._count = count

    def wait(self) -> None:
        """See `Mark`."""
        self._lane.run_to(self._count)


class HostLane:
    """See `Lane`. Work waits in a list until a mark is waited for."""

    def __init__(self) -> None:
        self._given: list[Callable[[], None]] = []
        self._done = 0
        self._turn = Lock()  # marks are waited for by any thread
        self._recording: list[Callable[[], None]] | None = None

    def run_to(self, count: int) -> None:
        """Run what was given first, up to so much."""
        with self._turn:
            while self._done < count:
                work = self._given[self._done]
                self._given[self._done] = _nothing  # what it holds can go
                self._done += 1
                work()

    def upload(
        self, target: int, pitch: int, source: int, source_pitch: int, width: int, rows: int
    ) -> None:
        """See `Lane`."""
        self._copy(target, pitch, source, source_pitch, width, rows)

    def download(
        self, target: int, pitch: int, source: int, source_pitch: int, width: int, rows: int
    ) -> None:
        """See `Lane`."""
        self._copy(target, pitch, source, source_pitch, width, rows)

    def launch(self, kernel: Kernel, arguments: bytes, count: int) -> None:
        """See `Lane`."""
        self._give(lambda: kernel(arguments))

    def convolve(self, plan: ConvGraph, operands: Mapping[str, int], workspace: int) -> None:
        """See `Lane`."""
        addresses = dict(operands)
        self._give(lambda: compute_graph(plan, addresses))

    def transform(self, transform: Transform, source: int, target: int, workspace: int) -> None:
        """See `Lane`."""
        self._give(lambda: _transform(transform, source, target))

    def mark(self) -> HostMark:
        """See `Lane`."""
        return HostMark(self, len(self._given))

    def record(self, give: Callable[[], None]) -> list[Callable[[], None]]:
        """See `Lane`."""
        self._recording = []
        try:
            give()
            return self._recording
        finally:
            self._recording = None

    def replay(self, replay: list[Callable[[], None]]) -> None:
        """See `Lane`."""
        self._given.extend(replay)

    def _copy(
        self, target: int, pitch: int, source: int, source_pitch: int, width: int, rows: int
    ) -> None:
        assert self._recording is None, "copies are not recorded"

        def work() -> None:
            for row in range(rows):
                ctypes.memmove(target + row * pitch, source + row * source_pitch, width)

        self._given.append(work)

    def _give(self, work: Callable[[], None]) -> None:
        (self._given if self._recording is None else self._recording).append(work)


class HostDevice:
    """See `Device`. `poison` spoils all of its memory, as a run before may have left it."""

    def __init__(self, byte_count: int = 64 << 20) -> None:
        self._memory = np.empty(byte_count + 256, np.uint8)
        self.base = -(-self._memory.ctypes.data // 256) * 256
        self.byte_count = byte_count
        self.facts = DeviceFacts("host", byte_count)
        self.pinned: list[tuple[int, int]] = []

    def poison(self) -> None:
        """Fill the memory with what no result may come from."""
        self._memory[...] = POISON

    def lane(self) -> HostLane:
        """See `Device`."""
        return HostLane()

    def load_kernel(self, instance: Instance, prepared: Prepared) -> Kernel:
        """See `Device`."""
        return kernels_of(instance.file)[instance]

    def load_plan(self, graph: ConvGraph, prepared: Prepared) -> ConvGraph:
        """See `Device`."""
        assert prepared.blob
        assert not prepared.failure
        return graph

    def pin(self, address: int, byte_count: int) -> None:
        """See `Device`."""
        self.pinned.append((address, byte_count))

    def unpin(self, address: int) -> None:
        """See `Device`."""
        self.pinned = [each for each in self.pinned if each[0] != address]

    def close(self) -> None:
        """See `Device`."""


def _transform(transform: Transform, source: int, target: int) -> None:
    axes = tuple(range(-transform.axes, 0))
    x, y = _flat(transform.source, source), _flat(transform.target, target)
    if transform.kind == "r2c":
        y[...] = scipy.fft.rfftn(x, axes=axes)
    elif transform.kind == "c2r":
        y[...] = scipy.fft.irfftn(x, y.shape[-transform.axes :], axes=axes, norm="forward")
    elif transform.inverse:
        y[...] = scipy.fft.ifftn(x, axes=axes, norm="forward")
    else:
        y[...] = scipy.fft.fftn(x, axes=axes)


def _flat(view: View, address: int) -> Array:
    assert view.strides == contiguous(view.shape)
    return array_at(address, view.dtype, view.shape, view.strides)


def _nothing() -> None:
    """What is left of work that was done."""
