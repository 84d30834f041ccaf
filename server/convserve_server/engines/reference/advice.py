"""What the reference engine needs for a step. It has one way to compute each kind."""

from __future__ import annotations

import math

from convserve.layers import (
    AvgPool,
    Conv,
    ConvTranspose,
    DeformConv,
    DepthwiseConv,
    Fold,
    IntegerConv,
    Layer,
    QuantizedConv,
    SeparableConv,
    SubPixelConv,
    Unfold,
)
from convserve.layers.fields import Pairs
from convserve.layers.pool import WindowPool
from convserve.operations import (
    ConvInputGradient,
    Convolve,
    ConvWeightGradient,
    Correlate,
    Operation,
)
from convserve.tensors import Shape, dtype_of

from convserve_server.engines.reference.windows import pairs
from convserve_server.planning.program import Advice, Advisor, OperationStep, Step

_CONVOLUTIONS = Conv | DepthwiseConv | SeparableConv | SubPixelConv | IntegerConv | QuantizedConv
_WINDOWS = WindowPool | AvgPool | Unfold
_PADS_INPUT = _CONVOLUTIONS | _WINDOWS | ConvWeightGradient
_CUTS_OUTPUT = ConvTranspose | Fold | ConvInputGradient
_COPIES = 2  # of each tensor: its values in the type of the sums, and those of the pass


class ReferenceAdvisor(Advisor):
    """Says what the reference engine does with a step, for plans. Imports no compute library."""

    def __init__(self, threads: int | None = None) -> None:
        """`threads` is what every advisor is offered."""

    def advise(self, step: Step | OperationStep) -> Advice:
        """The engine, and an estimate of its working memory."""
        is_complex = dtype_of(step.output.dtype).kind == "c"
        size = 16 if is_complex else 8  # complex128, or float64 and int64
        reason = "NumPy, one pass per tap in the widest type"
        count = _COPIES * sum(math.prod(shape) for shape in _shapes(step))
        caveat = "the reference engine's memory is estimated"
        return Advice("reference", "numpy", size * count, reason, caveat)


def _shapes(step: Step | OperationStep) -> tuple[Shape, ...]:
    """The shapes that are held: those of the tensors, with their padding where it is made."""
    if isinstance(step, Step):
        specs = (*step.inputs, *step.parameters)
        work: Layer | Operation = step.layer
    else:
        specs, work = step.operands, step.operation
    first, *others = (spec.shape for spec in specs)
    output = step.output.shape
    if isinstance(work, Convolve | Correlate):  # cut from the full result
        output = tuple(n + m - 1 for n, m in zip(first, others[0], strict=True))
    elif isinstance(work, _PADS_INPUT):
        first = _padded(first, pairs(work.padding))
    elif isinstance(work, _CUTS_OUTPUT):
        output = _padded(output, pairs(work.padding))
    return (first, *others, output, *_shapes_between(step))


def _shapes_between(step: Step | OperationStep) -> tuple[Shape, ...]:
    """What is held between the passes of a layer that has several, beside its tensors."""
    if isinstance(step, OperationStep):
        return ()
    batch, sizes = step.output.shape[0], step.output.shape[2:]
    match step.layer:
        case SeparableConv():
            return ((batch, step.parameters[0].shape[0], *sizes),)
        case DeformConv():  # one tap's values, and those of one corner
            return ((batch, step.inputs[0].shape[1], *sizes),) * 2
    return ()


def _padded(shape: Shape, padding: Pairs) -> Shape:
    """The shape with (low, high) elements around its spatial axes."""
    sizes = zip(shape[2:], padding, strict=True)
    return (*shape[:2], *(low + size + high for size, (low, high) in sizes))
