"""Which errors of CUDA end the process: those after which every call gives the same error."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from convserve_server.engines.base import DeviceLostError

# Numbers of cudaError_t, which are also those of the driver's CUresult: the ones of which CUDA says
# that the process must be ended, and those that say that the device or its context is gone. See
# https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html
STICKY = {
    214: "an uncorrectable ECC error",
    220: "an uncorrectable NVLink error",
    226: "an error contained to this process",
    700: "an illegal address",
    702: "a launch timed out",
    709: "the context is destroyed",
    710: "a device-side assert",
    714: "a hardware stack error",
    715: "an illegal instruction",
    716: "a misaligned address",
    717: "an invalid address space",
    718: "an invalid program counter",
    719: "a launch failed",
    721: "a tensor memory leak",
    810: "the MPS client was terminated",
    911: "an error of an external device",
}


class Faults:
    """A context in which an error that broke the device becomes a DeviceLostError.

    Libraries hide what CUDA told them: so any error is followed by a question, `ask`, which raises
    CUDA's own error if the device is broken. All other errors pass.
    """

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, DeviceLostError):
            reason = _reason(error) or self._asked()
            if reason:
                raise DeviceLostError(f"the GPU cannot be used any more: {reason}") from error

    def _asked(self) -> str:
        try:
            self._ask()
        except Exception as error:
            return _reason(error)
        return ""


def _reason(error: Exception) -> str:
    """What broke the device; nothing if the error does not say so."""
    return STICKY.get(getattr(error, "status", 0), "")
