"""What is built for a GPU that is there: the same for who has it built and for who loads it."""

from __future__ import annotations

from convserve_server.engines.base import DeviceFacts
from convserve_server.engines.cuda.plan_keys import BuildTarget
from convserve_server.planning.devices.properties import DeviceProperties
from convserve_server.planning.kernels import Policy

STORE_BYTES = 4 << 30  # of plans and kernels on disk


def target_of(facts: DeviceFacts, precision: str, workspace_limit_bytes: int) -> BuildTarget:
    """Plans and kernels for the GPU that a worker told of, with its version of cuDNN."""
    properties = DeviceProperties(
        device=facts.name,
        for_cudnn=facts.library,
        source="the GPU itself",
        measured=True,
        text=facts.properties,
    )
    return BuildTarget(properties, Policy(precision, workspace_limit_bytes))
