"""The task that asks cuDNN, if it is installed."""

from __future__ import annotations

from functools import lru_cache

from convserve.errors import UnsupportedError

from convserve_server.planners.cudnn.messages import decode_request, encode_offer
from convserve_server.planning.devices.properties import DeviceProperties
from convserve_server.planning.kernels import KernelPlanner

MAX_DEVICES = 32  # whose planners are kept


def offer(request: bytes) -> bytes:
    """An encoded Offer for an encoded OfferRequest. Raises UnsupportedError."""
    asked = decode_request(request)
    return encode_offer(_planner(asked.properties).offer(asked.convolution))


@lru_cache(MAX_DEVICES)
def _planner(properties: DeviceProperties) -> KernelPlanner:
    try:
        from convserve_server.planners.cudnn.planner import CudnnPlanner
    except ImportError:
        raise UnsupportedError(
            "cuDNN is not installed on this server: pip install 'convserve-server[cudnn]'"
        ) from None
    return CudnnPlanner(properties)
