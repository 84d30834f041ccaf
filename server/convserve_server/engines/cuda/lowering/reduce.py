"""Reductions over any axes, and softmax along one."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, frozen
from convserve import layers
from convserve.layers import Layer
from convserve.layers.glue import Reduction

from convserve_server.engines.cuda.kernels.table import FLOATS
from convserve_server.engines.cuda.lowering.builder import Builder, Emitter
from convserve_server.engines.cuda.lowering.rows import (
    add_rows,
    as_rows,
    largest_of_rows,
    sum_rows,
    sum_type,
)
from convserve_server.engines.cuda.views import View, contiguous
from convserve_server.planning.program import Step


@frozen
class _Rows:
    """A tensor as (outer, terms, inner), of which `outer` and `inner` axes stay as they lie."""

    view: View
    outer: tuple[int, ...]
    inner: tuple[int, ...]

    @property
    def kept(self) -> tuple[int, ...]:
        """The axes of a result, in the order in which its elements lie."""
        return (*self.outer, *self.inner)


def _reduce(builder: Builder, step: Step) -> None:
    layer, dtype = step.layer, step.output.dtype
    assert isinstance(layer, Reduction)
    (x,) = builder.inputs_of(step)
    source = _arranged(builder, builder.cast(x, dtype), layer.axes)
    shape = (source.view.shape[0], 1, source.view.shape[2])
    target = builder.new(dtype, shape, last=False)
    if isinstance(layer, layers.ReduceMax):
        largest_of_rows(builder, target, source.view)
    elif dtype in FLOATS:
        count = source.view.shape[1] if isinstance(layer, layers.ReduceMean) else 1
        sum_rows(builder, target, source.view, float(count))
    else:
        add_rows(builder, target, source.view)
    builder.bind(step.output.name, _result(target, source, x, layer))
    builder.record(step, "rows")


def _softmax(builder: Builder, step: Step) -> None:
    """Largest, exp of the differences, their sum, and each one's share."""
    assert isinstance(step.layer, layers.Softmax)
    (x,) = builder.inputs_of(step)
    sums, dtype = sum_type(x.dtype), x.dtype
    source = _arranged(builder, x, (step.layer.axis,))
    outer, terms, inner = source.view.shape
    largest = builder.new(dtype, (outer, 1, inner), last=False)
    largest_of_rows(builder, largest, source.view)
    powers = builder.new(sums, (outer, terms, inner), last=False)
    spread = largest.expanded(powers.shape)
    count = powers.element_count
    builder.launch("ShiftedExp", (dtype,), powers, source.view, spread, count=count)
    total = builder.new(sums, (outer, 1, inner), last=False)
    sum_rows(builder, total, powers, 1.0)
    shares = builder.new(dtype, powers.shape, last=False)
    builder.launch("Share", (dtype,), shares, powers, total.expanded(powers.shape), count=count)
    axes = (*source.outer, step.layer.axis, *source.inner)
    builder.bind(step.output.name, _in_order(shares, axes, x))
    builder.record(step, "rows")


def _arranged(builder: Builder, view: View, axes: Sequence[int]) -> _Rows:
    """The axes that go as the middle one; a copy where they do not lie beside one another."""
    order = sorted(range(len(view.shape)), key=lambda axis: -view.strides[axis])
    first = min(order.index(axis) for axis in axes)
    outer, inner = tuple(order[:first]), tuple(order[first + len(axes) :])
    if set(order[first : first + len(axes)]) == set(axes):
        there = as_rows(view, outer, order[first : first + len(axes)], inner)
        if there is not None:
            return _Rows(there, outer, inner)
    kept = tuple(axis for axis in range(len(view.shape)) if axis not in axes)
    made = builder.new(view.dtype, tuple(view.shape[axis] for axis in (*kept, *axes)), last=False)
    builder.copy(made, view.permuted((*kept, *axes)))
    rank = len(kept)
    found = as_rows(made, range(rank), range(rank, len(view.shape)), ())
    assert found is not None  # for it is contiguous
    return _Rows(found, kept, ())


def _result(target: View, source: _Rows, x: View, layer: Reduction) -> View:
    """The result in its logical order, with axes of size 1 for those that went if they stay."""
    view = _in_order(target, source.kept, x)
    for axis in layer.axes if layer.keepdims else ():
        view = view.inserted(axis)
    return view


def _in_order(rows: View, axes: Sequence[int], x: View) -> View:
    """What lies as contiguous axes of `x`, in the given order, in the order of their numbers."""
    shape = tuple(x.shape[axis] for axis in axes)
    there = evolve(rows, shape=shape, strides=contiguous(shape))
    return there.permuted([axes.index(axis) for axis in sorted(axes)])


TABLE: dict[type[Layer], Emitter] = {
    layers.ReduceMean: _reduce,
    layers.ReduceMax: _reduce,
    layers.ReduceSum: _reduce,
    layers.Softmax: _softmax,
}
