"""What a split gives: pieces of one program, and which part of each tensor they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from attrs import evolve, field, frozen
from convserve.tensors import TensorSpec

from convserve_server.planning.program import Program, Step


@frozen
class Slice:
    """The elements from `start` up to `stop` along `axis` of a channels-first tensor."""

    axis: int
    start: int
    stop: int


Slices: TypeAlias = tuple[Slice, ...]  # one per axis that is cut; () is the whole tensor


@frozen
class Piece:
    """One part of the work: run `program` on parts of the whole inputs; weights are whole.

    By tensor name: `inputs` is the part of the whole input that it reads, `outputs` the part of the
    whole output that it makes, `kept` the part of the program's result that belongs there. Where
    `kept` is (), the program can write its result into its place; else the rest of the result is
    wrong, and must not reach the output. `weights` are the parts of those that it does not read
    whole.
    """

    program: Program
    inputs: Mapping[str, Slices]
    outputs: Mapping[str, Slices]
    kept: Mapping[str, Slices]
    weights: Mapping[str, Slices] = field(factory=dict)


def reshaped(program: Program, change: Callable[[TensorSpec], TensorSpec]) -> Program:
    """The program with every tensor but the weights changed."""
    return Program(
        inputs=tuple(map(change, program.inputs)),
        steps=tuple(_reshaped_step(step, change) for step in program.steps),
        outputs=program.outputs,
    )


def with_size(spec: TensorSpec, axis: int, size: int) -> TensorSpec:
    """The tensor with another size along `axis`."""
    return TensorSpec(spec.name, spec.dtype, (*spec.shape[:axis], size, *spec.shape[axis + 1 :]))


def _reshaped_step(step: Step, change: Callable[[TensorSpec], TensorSpec]) -> Step:
    return evolve(step, inputs=tuple(map(change, step.inputs)), output=change(step.output))
