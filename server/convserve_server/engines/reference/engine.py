"""The reference engine: runs a program step by step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from convserve.operations import operation_kind
from convserve.runs import StepRecord
from convserve.tensors import Array, empty

from convserve_server.engines.base import STRICT
from convserve_server.engines.reference.functions import compute_operation, compute_step
from convserve_server.planning.program import OperationStep, Program, Work


class ReferenceEngine:
    """NumPy, the oracle: slow, exact within its rounding, and the same on every machine."""

    name = "reference"

    def __init__(self, threads: int | None = None) -> None:
        """`threads` is what every engine is offered; here NumPy has its own number."""

    def run(
        self,
        work: Work,
        tensors: Mapping[str, Array],
        outputs: Mapping[str, Array],
        key: str = "",
        precision: str = STRICT,
    ) -> tuple[StepRecord, ...]:
        """See `Engine.run`. Nothing is kept for `key`, and every precision is strict."""
        if isinstance(work, OperationStep):
            write_rounded(compute_operation(work, tensors), outputs[work.output.name])
            return (self._record(operation_kind(work.operation)),)
        return self._run_program(work, tensors, outputs)

    def forget(self, key: str) -> None:
        """See `Engine.forget`. There is nothing to drop."""

    def _run_program(
        self, program: Program, tensors: Mapping[str, Array], outputs: Mapping[str, Array]
    ) -> tuple[StepRecord, ...]:
        values = dict(tensors)
        for step, dead in zip(program.steps, _last_reads(program), strict=True):
            target = outputs.get(step.output.name)
            if target is None:
                target = empty(step.output)
            write_rounded(compute_step(step, values), target)
            values[step.output.name] = target
            for name in dead:
                del values[name]
        return tuple(self._record(step.output.name) for step in program.steps)

    def _record(self, name: str) -> StepRecord:
        return StepRecord(name=name, engine=self.name, algorithm="numpy")


def write_rounded(result: Array, target: Array) -> None:
    """Round a result once, to the dtype of the array that it is written to."""
    with np.errstate(all="ignore"):  # float16 overflows to inf: that is its rounding
        target[...] = result


def _last_reads(program: Program) -> list[list[str]]:
    """For each step, the values that no later step reads, so that their memory can go."""
    last = {}
    for index, step in enumerate(program.steps):
        for name in (step.output.name, *(spec.name for spec in step.inputs)):
            last[name] = index
    dead: list[list[str]] = [[] for _ in program.steps]
    for name, index in last.items():
        dead[index].append(name)
    return dead
