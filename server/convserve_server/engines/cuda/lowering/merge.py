"""Layers that join several inputs: element by element, or side by side."""

from __future__ import annotations

from convserve import layers
from convserve.layers import Layer

from convserve_server.engines.cuda.lowering.builder import Builder, Emitter
from convserve_server.engines.cuda.lowering.elementwise import ALGORITHM
from convserve_server.engines.cuda.lowering.rows import sum_type
from convserve_server.engines.cuda.views import View, collapse
from convserve_server.planning.program import Step

# Their places here are their numbers in binary.cuh.
OPERATORS = (layers.Add, layers.Mul, layers.Sub, layers.Div)


def combine(builder: Builder, operator: type[Layer], target: View, left: View, right: View) -> None:
    """Fill `target` with the sums, products, ... of two; all have one shape."""
    views = collapse(target, left, right)
    types = [view.dtype for view in views]
    number = OPERATORS.index(operator)
    builder.launch("Binary", types, *views, number, count=target.element_count)


def _merge(builder: Builder, step: Step) -> None:
    """Two at a time; what lies between, of halves, in float32, so that the result rounds once."""
    dtype, shape = step.output.dtype, step.output.shape
    total, *others = (builder.cast(view, dtype) for view in builder.inputs_of(step))
    for place, other in enumerate(others, start=1):
        is_last = place == len(others)
        made = builder.result(step.output) if is_last else builder.new(sum_type(dtype), shape)
        combine(builder, type(step.layer), made, total.expanded(shape), other.expanded(shape))
        total = made
    builder.record(step, ALGORITHM)


def _concat(builder: Builder, step: Step) -> None:
    """Each input is copied to its part of the result."""
    assert isinstance(step.layer, layers.Concat)
    axis, start = step.layer.axis, 0
    y = builder.result(step.output)
    for view in builder.inputs_of(step):
        count = view.shape[axis]
        builder.copy(y.sliced(axis, start, count), view)
        start += count
    builder.record(step, "copy")


TABLE: dict[type[Layer], Emitter] = {
    **dict.fromkeys(OPERATORS, _merge),
    layers.Concat: _concat,
}
