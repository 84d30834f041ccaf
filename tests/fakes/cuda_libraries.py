# ruff: noqa: N802, N815 - the names are CUDA's
"""Stands in for CuPy and cuDNN's front end, as far as the engine's lanes call them.

Copies and launches do what CUDA's documentation says of their arguments, on host memory: so a wrong
order or a pointer too many is seen. Everything else only notes that it was called.
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

from convserve_server.engines.cuda.cuda_lane import Libraries


class CudaError(Exception):
    """Like CuPy's: `status` is the number of a cudaError_t."""

    def __init__(self, status):
        super().__init__(f"CUDA error {status}")
        self.status = status


class FakeRuntime:
    """The calls of `cupy.cuda.runtime`. `status` is an error that every call gives from then on."""

    CUDARuntimeError = CudaError
    memcpyHostToDevice, memcpyDeviceToHost = 1, 2

    def __init__(self, free=8 << 30, total=16 << 30):
        self.calls = []
        self.status = 0
        self.refused = {}  # call -> an error that it alone gives
        self._memory = (free, total)

    def memGetInfo(self):
        self._note("memGetInfo")
        return self._memory

    def setDevice(self, number):
        self._note("setDevice", number)

    def malloc(self, byte_count):
        self._note("malloc", byte_count)
        return 1 << 30

    def free(self, address):
        self._note("free", address)

    def hostRegister(self, address, byte_count, flags):
        self._note("hostRegister", address, byte_count)

    def hostUnregister(self, address):
        self._note("hostUnregister", address)

    def getDeviceProperties(self, number):
        return {"name": b"Fake GPU", "major": 9, "minor": 0}

    def memcpyAsync(self, target, source, size, kind, stream):
        self._note("memcpyAsync", kind, stream)
        ctypes.memmove(target, source, size)

    def memcpy2DAsync(self, target, pitch, source, source_pitch, width, height, kind, stream):
        self._note("memcpy2DAsync", kind, stream)
        for row in range(height):
            ctypes.memmove(target + row * pitch, source + row * source_pitch, width)

    def _note(self, name, *arguments):
        self.calls.append((name, *arguments))
        if status := self.status or self.refused.get(name):
            raise CudaError(status)


class FakeDriver:
    """The calls of `cupy_backends.cuda.api.driver`; keeps the bytes that kernels are given."""

    def __init__(self, argument_bytes):
        self.launches = []
        self._argument_bytes = argument_bytes

    def launchKernel(self, function, gx, gy, gz, bx, by, bz, shared, stream, parameters, extra):
        (argument,) = (ctypes.c_void_p * 1).from_address(parameters)
        data = ctypes.string_at(argument, self._argument_bytes)
        self.launches.append((function, (gx, gy, gz), (bx, by, bz), stream, data, extra))


class FakeStream:
    """Notes when it captures."""

    ptr = 7

    def __init__(self, non_blocking):
        assert non_blocking
        self.notes = []

    def begin_capture(self):
        self.notes.append("begin")

    def end_capture(self):
        self.notes.append("end")
        return SimpleNamespace(launch=lambda stream: self.notes.append("launch"))

    def synchronize(self):
        self.notes.append("synchronize")


class FakeCudnn:
    """cuDNN's front end; keeps what plans are given."""

    def __init__(self):
        self.handles = []
        self.executed = []

    def create_handle(self):
        self.handles.append(object())
        return self.handles[-1]

    def set_stream(self, handle, stream):
        assert handle in self.handles

    def destroy_handle(self, handle):
        self.handles.remove(handle)

    def create_device_properties(self, number):
        return SimpleNamespace(serialize=lambda: "{}")

    def backend_version_string(self):
        return "9.19.0"

    def pygraph(self, handle):
        return FakePlan(self)


class FakePlan:
    """A deserialised graph."""

    def __init__(self, cudnn):
        self._cudnn = cudnn

    def deserialize(self, handle, blob):
        assert all(type(each) is int for each in blob)

    def execute_plan_at_index(self, pointers, workspace, index, handle):
        self._cudnn.executed.append((pointers, workspace, index, handle))


def fake_libraries(argument_bytes=0, **runtime):
    """Libraries for a `CudaDevice`; kernels are given so many bytes."""
    cuda = SimpleNamespace(Stream=FakeStream)
    return Libraries(
        cupy=SimpleNamespace(cuda=cuda),
        cudnn=FakeCudnn(),
        runtime=FakeRuntime(**runtime),
        driver=FakeDriver(argument_bytes),
    )
