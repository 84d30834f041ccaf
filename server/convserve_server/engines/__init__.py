"""The engines, and the one list of them. An engine is imported only by the process that runs it."""

from __future__ import annotations

from importlib import import_module

from convserve_server.engines.base import Engine

# name -> "module:Class"
ENGINES: dict[str, str] = {
    "reference": "convserve_server.engines.reference.engine:ReferenceEngine",
    "cpu": "convserve_server.engines.cpu.engine:CpuEngine",
}


def load_engine(location: str, **options: object) -> Engine:
    """The engine called `location`, or at `module:Class`. Imports what it needs."""
    module, _, name = ENGINES.get(location, location).partition(":")
    engine: Engine = getattr(import_module(module), name)(**options)
    return engine
