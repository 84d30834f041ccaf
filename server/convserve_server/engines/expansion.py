"""Layers that are several convolutions or moves in a row, as the steps that engines run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from attrs import evolve
from convserve.layers import (
    DepthwiseConv,
    Layer,
    PixelShuffle,
    SeparableConv,
    SubPixelConv,
)
from convserve.tensors import TensorSpec

from convserve_server.planning.equivalents import (
    before_shuffle,
    depthwise,
    partial_dtype,
    pointwise,
)
from convserve_server.planning.program import Program, Step

MARK = ":"  # in the names of what lies between the steps; no caller's name has it


def expand(program: Program) -> Program:
    """The same program with every layer that is made of others replaced by those."""
    return evolve(program, steps=tuple(chain.from_iterable(map(steps_of, program.steps))))


def steps_of(step: Step) -> tuple[Step, ...]:
    """The steps that a step is made of; itself alone if it is not."""
    layer, rank = step.layer, len(step.output.shape) - 2
    match layer:
        case DepthwiseConv():
            return (evolve(step, layer=_named(depthwise(layer, step.inputs[0].shape[1]), step)),)
        case SeparableConv():
            return _separable(step, layer, rank)
        case SubPixelConv():
            return _sub_pixel(step, layer, rank)
    return (step,)


def owner(name: str) -> str:
    """The layer that a step belongs to, by the step's name."""
    return name.partition(MARK)[0]


def _separable(step: Step, layer: SeparableConv, rank: int) -> tuple[Step, ...]:
    first, *others = step.parameters
    channels = step.inputs[0].shape[1]
    middle = TensorSpec(
        f"{step.output.name}{MARK}depthwise",
        partial_dtype([step.inputs[0].dtype, first.dtype]),
        (step.output.shape[0], first.shape[0], *step.output.shape[2:]),
    )
    return _pair(
        step, (depthwise(layer, channels), pointwise(layer, rank)), middle, [first], others
    )


def _sub_pixel(step: Step, layer: SubPixelConv, rank: int) -> tuple[Step, ...]:
    conv = before_shuffle(layer, rank)
    sizes = [size // layer.factor for size in step.output.shape[2:]]
    middle = TensorSpec(
        f"{step.output.name}{MARK}conv",
        step.output.dtype,
        (step.output.shape[0], conv.out_channels, *sizes),
    )
    return _pair(step, (conv, PixelShuffle(layer.factor)), middle, step.parameters, ())


def _pair(
    step: Step,
    layers: tuple[Layer, Layer],
    middle: TensorSpec,
    first: Sequence[TensorSpec],
    second: Sequence[TensorSpec],
) -> tuple[Step, ...]:
    """Two steps with `middle` between them, and the weights of each."""
    return (
        Step(layers[0], step.inputs, tuple(first), middle),
        Step(_named(layers[1], step), (middle,), tuple(second), step.output),
    )


def _named(layer: Layer, step: Step) -> Layer:
    return evolve(layer, name=step.layer.name)
