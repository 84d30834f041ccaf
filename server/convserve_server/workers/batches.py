"""Several calls' tensors as one batch, and its results as theirs again."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen
from convserve.tensors import Array, empty

from convserve_server.cache import ByteCache
from convserve_server.engines.base import Views
from convserve_server.planning.program import Program, Work, work_outputs
from convserve_server.planning.tiling import rebatched

CACHE_BYTES = 16 << 20
STEP_BYTES = 2 << 10  # about what one step takes in Python objects

_programs: ByteCache[tuple[Program, int], Program] = ByteCache(CACHE_BYTES)


@frozen(eq=False)
class Batch:
    """Work to run on arrays; `targets` are parts of the results, and the places they go to."""

    work: Work
    tensors: Mapping[str, Array]
    outputs: Mapping[str, Array]
    targets: Sequence[tuple[Array, Array]] = ()

    def scatter(self) -> None:
        """Put the results in their places, where they were not made there."""
        for result, place in self.targets:
            place[...] = result


def join(work: Work, views: Sequence[Views]) -> Batch:
    """The batch of all the views, in their order; weights are the first one's."""
    (first, *others) = views
    if not isinstance(work, Program):
        return Batch(work, first.tensors, first.outputs)
    return _gather(work, views) if others else _alone(work, first)


def count_rows(work: Work, views: Sequence[Views]) -> int:
    """The rows of the batch of all the views; 1 of an operation."""
    if not isinstance(work, Program):
        return 1
    return sum(_rows(work, view.tensors) for view in views)


def _alone(program: Program, view: Views) -> Batch:
    """One view, computed where it lies, but for results of which not everything counts."""
    batch = _rebatched(program, _rows(program, view.tensors))
    specs = {spec.name: spec for spec in work_outputs(batch)}
    whole = {name: empty(specs[name]) for name in view.kept}
    targets = [(whole[name][index], view.outputs[name]) for name, index in view.kept.items()]
    return Batch(batch, view.tensors, {**view.outputs, **whole}, targets)


def _gather(program: Program, views: Sequence[Views]) -> Batch:
    rows = [_rows(program, view.tensors) for view in views]
    batch = _rebatched(program, sum(rows))
    tensors = dict(views[0].tensors)
    for spec in program.inputs:
        tensors[spec.name] = np.concatenate([view.tensors[spec.name] for view in views])
    outputs = {spec.name: empty(spec) for spec in work_outputs(batch)}
    ends = list(itertools.accumulate(rows))
    targets = [
        (outputs[name][end - count : end], place)
        for view, count, end in zip(views, rows, ends, strict=True)
        for name, place in view.outputs.items()
    ]
    return Batch(batch, tensors, outputs, targets)


def _rows(program: Program, tensors: Mapping[str, Array]) -> int:
    return len(tensors[program.inputs[0].name])


def _rebatched(program: Program, rows: int) -> Program:
    if program.inputs[0].shape[0] == rows:
        return program
    found = _programs.get((program, rows))
    if found is None:
        found = rebatched(program, rows)
        _programs.put((program, rows), found, STEP_BYTES * (1 + len(program.steps)))
    return found
