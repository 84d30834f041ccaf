"""`python -m convserve_server.engines.cuda.probe`: prints the `Findings` of this machine as JSON.

A process of its own, as the front must not import CUDA, and a driver may hang or crash.
"""

from __future__ import annotations

import ctypes
import sys
from importlib import import_module
from typing import Any

import msgspec

from convserve_server.engines.cuda.findings import Findings, Gpu

NO_DEVICE, OLD_DRIVER = 100, 35  # of cudaError_t


def look() -> Findings:
    """What is here. Raises nothing that a library raises."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return Findings(reason=f"no NVIDIA driver: {error}")
    versions: dict[str, str] = {}
    try:
        cupy = import_module("cupy")
        versions["CuPy"] = cupy.__version__
        cudnn = import_module("cudnn")
        versions["cuDNN frontend"] = cudnn.__version__
        versions["cuDNN"] = str(cudnn.backend_version_string())
    except Exception as error:  # a library that cannot be loaded raises as it likes
        return Findings(reason=f"{type(error).__name__}: {error}"[:500], versions=versions)
    return find_gpus(cupy.cuda.runtime, versions)


def find_gpus(runtime: Any, versions: dict[str, str]) -> Findings:
    """The GPUs that CUDA's runtime, as CuPy has it, tells of."""
    try:
        versions = versions | {"CUDA driver": _version(runtime.driverGetVersion())}
        gpus = tuple(_gpu(runtime, number) for number in range(runtime.getDeviceCount()))
    except runtime.CUDARuntimeError as error:
        return Findings(reason=_reason(error), versions=versions)
    return Findings(gpus=gpus, reason="" if gpus else "no GPU is visible", versions=versions)


def _gpu(runtime: Any, number: int) -> Gpu:
    properties = runtime.getDeviceProperties(number)
    runtime.setDevice(number)
    free_bytes, _ = runtime.memGetInfo()
    return Gpu(
        number=number,
        name=properties["name"].decode(),
        memory_bytes=properties["totalGlobalMem"],
        free_bytes=free_bytes,
        compute_capability=f"{properties['major']}.{properties['minor']}",
        bus=runtime.deviceGetPCIBusId(number),
    )


def _version(number: int) -> str:
    """13000 is 13.0."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _reason(error: Any) -> str:
    known = {
        NO_DEVICE: "the NVIDIA driver finds no GPU",
        OLD_DRIVER: "the NVIDIA driver is too old for this version of CUDA",
    }
    return known.get(error.status, f"CUDA cannot be used: {error}")


def main() -> None:
    """Print the findings."""
    sys.stdout.write(msgspec.json.encode(look()).decode())


if __name__ == "__main__":
    main()
