"""Ranges of output channels: what is left where not even the smallest tile of one row fits.

Every output channel is a sum of its own, over weights of its own. So a convolution, and what acts
on each channel of its result alone, can be computed for some of the channels at a time, each time
from the whole input.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve
from convserve.layers import BatchNorm, Conv, ConvTranspose, Dense, Layer
from convserve.tensors import TensorSpec

from convserve_server.planning.layers import rule_of
from convserve_server.planning.layers.activations import ActivationRule
from convserve_server.planning.program import Program, Step
from convserve_server.planning.tiling.pieces import Piece, Slice, Slices, with_size

_OUTPUT_AXIS = 1


def may_cut_channels(program: Program) -> bool:
    """Whether `channel_pieces` can cut the program: a chain of one such layer and its followers."""
    head, *followers = program.steps
    if program.outputs != (program.steps[-1].output.name,) or not _has_own_channels(head):
        return False
    before = program.steps[:-1]
    return all(_follows(step, last) for step, last in zip(followers, before, strict=True))


def channel_count(program: Program) -> int:
    """The output channels."""
    return program.steps[-1].output.shape[_OUTPUT_AXIS]


def with_channels(program: Program, count: int) -> Program:
    """The program for so many of its output channels."""
    head, *followers = program.steps
    narrow = [_narrowed(head, head.inputs, count)]
    for step in followers:
        narrow.append(_narrowed(step, (narrow[-1].output,), count))
    return evolve(program, steps=tuple(narrow))


def channel_pieces(
    program: Program, rows: int, ranges: tuple[tuple[int, int], ...]
) -> Iterator[Piece]:
    """The ranges of channels of every row, one row after the other; the program is for one row."""
    programs = {stop - start: with_channels(program, stop - start) for start, stop in ranges}
    for row in range(rows):
        for start, stop in ranges:
            place = (Slice(0, row, row + 1),)
            yield Piece(
                program=programs[stop - start],
                inputs={spec.name: place for spec in program.inputs},
                outputs={program.outputs[0]: (*place, Slice(_OUTPUT_AXIS, start, stop))},
                kept={program.outputs[0]: ()},
                weights={
                    spec.name: _part(step, spec, start, stop)
                    for step in program.steps
                    for spec in step.parameters
                },
            )


def _has_own_channels(step: Step) -> bool:
    match step.layer:
        case Conv() | ConvTranspose():
            return step.layer.groups == 1
        case Dense():
            return len(step.output.shape) == 2
    return False


def _follows(step: Step, last: Step) -> bool:
    """Whether a step acts on each channel of the one before alone."""
    return [spec.name for spec in step.inputs] == [last.output.name] and (
        isinstance(step.layer, BatchNorm) or _is_elementwise(step)
    )


def _is_elementwise(step: Step) -> bool:
    """Whether it is an activation, or a softmax along another axis than the channels."""
    rule = rule_of(step.layer)
    shapes = tuple(spec.shape[1:] for spec in step.inputs)
    return isinstance(rule, ActivationRule) and not rule.mixes_channels(step.layer, shapes)


def _narrowed(step: Step, inputs: tuple[TensorSpec, ...], count: int) -> Step:
    return Step(
        _with_channels(step.layer, count),
        inputs,
        tuple(with_size(spec, _axis(step, spec), count) for spec in step.parameters),
        with_size(step.output, _OUTPUT_AXIS, count),
    )


def _with_channels(layer: Layer, count: int) -> Layer:
    match layer:
        case Conv() | ConvTranspose():
            return evolve(layer, out_channels=count)
        case Dense():
            return evolve(layer, out_features=count)
    return layer


def _axis(step: Step, spec: TensorSpec) -> int:
    """Along which axis of its weights the output channels lie."""
    return 1 if isinstance(step.layer, ConvTranspose) and len(spec.shape) > 1 else 0


def _part(step: Step, spec: TensorSpec, start: int, stop: int) -> Slices:
    return (Slice(_axis(step, spec), start, stop),)
