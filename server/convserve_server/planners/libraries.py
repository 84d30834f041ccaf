"""What is needed to compile kernels, beside NVRTC itself."""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.metadata import PackageNotFoundError, files

_DRIVER = "libcuda.so.1"


@cache
def has_driver() -> bool:
    """Whether NVIDIA's driver can be loaded: without it cuDNN compiles nothing."""
    try:
        ctypes.CDLL(_DRIVER)
    except OSError:
        return False
    return True


@cache
def load_builtins() -> None:
    """Load what NVRTC loads by its bare name, which finds it only where it is loaded already.

    The NVRTC of the package `nvidia-cuda-nvrtc` is loaded by its path, by cuDNN and by CuPy; the
    loader does not look there for the library of built-in functions beside it.
    """
    try:
        found = files("nvidia-cuda-nvrtc") or ()
    except PackageNotFoundError:  # a toolkit of the system's, which the loader knows
        return
    for path in found:
        if path.name.startswith("libnvrtc-builtins.so"):
            ctypes.CDLL(str(path.locate()))
