"""The tasks that ask cuDNN, if it is installed."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from convserve.errors import UnsupportedError

from convserve_server.planners.builds import Built, decode_plan_request, encode
from convserve_server.planners.cudnn.messages import NEEDS_DRIVER, decode_request, encode_offer
from convserve_server.planners.libraries import has_driver, load_builtins
from convserve_server.planning.devices.properties import DeviceProperties

if TYPE_CHECKING:
    from convserve_server.planners.cudnn.planner import CudnnPlanner

MAX_DEVICES = 32  # whose planners are kept


def offer(request: bytes) -> bytes:
    """An encoded Offer for an encoded OfferRequest. Raises UnsupportedError."""
    asked = decode_request(request)
    return encode_offer(_planner(asked.properties).offer(asked.convolution))


def build(request: bytes) -> bytes:
    """An encoded Built for an encoded PlanRequest. Raises UnsupportedError without cuDNN."""
    asked = decode_plan_request(request)
    load_builtins()
    prepared = _planner(asked.properties).prepare(asked.graph, asked.policy)
    lacks_driver = not has_driver() or NEEDS_DRIVER in prepared.failure
    may_pass = prepared.failure and asked.graph.is_fused and lacks_driver
    return encode(Built(prepared, lasts=not may_pass))


@lru_cache(MAX_DEVICES)
def _planner(properties: DeviceProperties) -> CudnnPlanner:
    try:
        from convserve_server.planners.cudnn.planner import CudnnPlanner
    except ImportError:
        raise UnsupportedError(
            "cuDNN is not installed on this server: pip install 'convserve-server[cudnn]'"
        ) from None
    return CudnnPlanner(properties)
