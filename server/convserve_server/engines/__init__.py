"""The engines, and the one list of them. An engine is imported only by the process that runs it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from attrs import frozen

from convserve_server.engines.base import Engine
from convserve_server.planning.program import Advice, Advisor, OperationStep, Step

# name -> "module:Class" of the engine, and of what planning asks about it
ENGINES: dict[str, str] = {
    "reference": "convserve_server.engines.reference.engine:ReferenceEngine",
    "cpu": "convserve_server.engines.cpu.engine:CpuEngine",
}
# Engines of GPUs: each is made with `lanes` and `memory_bytes`, on the first GPU that it sees.
GPU_ENGINES: dict[str, str] = {
    "cuda": "convserve_server.engines.cuda.opening:open_engine",
}
ADVISORS: dict[str, str] = {
    "reference": "convserve_server.engines.reference.advice:ReferenceAdvisor",
    "cpu": "convserve_server.engines.cpu.advice:CpuAdvisor",
    "cuda": "convserve_server.engines.cuda.advice:CudaAdvisor",
}


def load_engine(location: str, **options: object) -> Engine:
    """The engine called `location`, or at `module:Class`. Imports what it needs."""
    engine: Engine = _load((ENGINES | GPU_ENGINES).get(location, location))(**options)
    return engine


def load_advisor(name: str, threads: int | None = None) -> Advisor:
    """The advisor of an engine. Imports no compute library.

    Of an engine that is not in the list nothing is known before it runs.
    """
    if name not in ADVISORS:
        return NoAdvice(name)
    advisor: Advisor = _load(ADVISORS[name])(threads)
    return advisor


@frozen
class NoAdvice(Advisor):
    """Stands in for the advisor of an engine that has none."""

    engine: str

    def advise(self, step: Step | OperationStep) -> Advice:
        """The engine, without an algorithm."""
        return Advice(self.engine, "", 0, "the engine tells nothing before it runs")


def _load(location: str) -> Any:
    module, _, name = location.partition(":")
    return getattr(import_module(module), name)
