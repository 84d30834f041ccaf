"""Runs work in pieces on an engine, as a worker does, and counts what each output was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen
from convserve.tensors import Array, empty
from convserve_server.engines.base import Engine
from convserve_server.planning.program import Program, work_outputs
from convserve_server.planning.tiling import Piece, Slices


@frozen
class Whole:
    """The outputs, and how often each of their elements was written."""

    outputs: Mapping[str, Array]
    writes: Mapping[str, Array]


def run_whole(engine: Engine, program: Program, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs of a program at once."""
    outputs = {spec.name: empty(spec) for spec in work_outputs(program)}
    engine.run(program, tensors, outputs)
    return outputs


def run_pieces(
    engine: Engine, program: Program, pieces: Sequence[Piece], tensors: Mapping[str, Array]
) -> Whole:
    """The outputs of a program piece by piece."""
    outputs = {spec.name: empty(spec) for spec in work_outputs(program)}
    writes = {name: np.zeros(output.shape, np.int64) for name, output in outputs.items()}
    for piece in pieces:
        parts = {name: part(tensors[name], slices) for name, slices in piece.inputs.items()}
        parts |= {name: part(tensors[name], slices) for name, slices in piece.weights.items()}
        results = run_whole(engine, piece.program, {**tensors, **parts})
        for name, slices in piece.outputs.items():
            part(outputs[name], slices)[...] = part(results[name], piece.kept[name])
            part(writes[name], slices)[...] += 1
    return Whole(outputs, writes)


def part(array: Array, slices: Slices) -> Array:
    """The view of an array that the slices say."""
    index = [slice(None)] * array.ndim
    for each in slices:
        index[each.axis] = slice(each.start, each.stop)
    return array[tuple(index)]
