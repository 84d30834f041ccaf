"""What planner processes do, by name. A task's module is imported by the process that runs it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

# name -> "module:function" of a function from bytes to bytes. One that is run with a region of
# shared memory is called with a read-only memoryview of it besides.
TASKS: dict[str, str] = {
    "plan": "convserve_server.services.plans:plan_task",
    "plan_convolutions": "convserve_server.services.plans:convolutions_task",
    "import_network": "convserve_server.planning.importers.task:import_network",
    "plan_tiles": "convserve_server.services.tiles:tiles_task",
    "cudnn_offer": "convserve_server.planners.cudnn.task:offer",
    "cudnn_build": "convserve_server.planners.cudnn.task:build",
    "cuda_compile": "convserve_server.planners.nvrtc:compile_kernel",
}


def load_task(name: str) -> Callable[..., bytes]:
    """The task called `name`, or at `module:function`. Imports what it needs."""
    module, _, function = TASKS.get(name, name).partition(":")
    task: Any = getattr(import_module(module), function)
    return task  # type: ignore[no-any-return]
