"""Layers that move elements: other views of the same where they can be, else one copy."""

from __future__ import annotations

from itertools import chain

from convserve import layers
from convserve.layers import Layer

from convserve_server.engines.cuda.lowering.builder import Builder, Emitter
from convserve_server.engines.cuda.views import View
from convserve_server.planning.program import Step

_VIEW, _COPY = "view", "copy"


def _permute(builder: Builder, step: Step) -> None:
    assert isinstance(step.layer, layers.Permute)
    (x,) = builder.inputs_of(step)
    _bind(builder, step, x.permuted((0, *step.layer.order)))


def _slice(builder: Builder, step: Step) -> None:
    assert isinstance(step.layer, layers.Slice)
    layer, (x,) = step.layer, builder.inputs_of(step)
    start, _, stride = slice(layer.start, layer.stop, layer.step).indices(x.shape[layer.axis])
    count = step.output.shape[layer.axis]
    _bind(builder, step, x.sliced(layer.axis, start, count, stride))


def _reshape(builder: Builder, step: Step) -> None:
    """The elements in their logical order: those with the channels last are copied first."""
    (x,) = builder.inputs_of(step)
    shape = step.output.shape
    there = x.reshaped(shape)
    if there is not None:
        _bind(builder, step, there)
        return
    made = builder.new(x.dtype, x.shape, last=False)
    builder.copy(made, x)
    found = made.reshaped(shape)
    assert found is not None  # for it is contiguous
    builder.bind(step.output.name, found)
    builder.record(step, _COPY)


def _bind(builder: Builder, step: Step, view: View) -> None:
    builder.bind(step.output.name, view)
    builder.record(step, _VIEW)


def _pixel_shuffle(builder: Builder, step: Step) -> None:
    assert isinstance(step.layer, layers.PixelShuffle)
    (x,) = builder.inputs_of(step)
    y = builder.result(step.output)
    builder.copy(*reversed(_same_places(x, y, step.layer.factor)))
    builder.record(step, _COPY)


def _pixel_unshuffle(builder: Builder, step: Step) -> None:
    assert isinstance(step.layer, layers.PixelUnshuffle)
    (x,) = builder.inputs_of(step)
    y = builder.result(step.output)
    builder.copy(*_same_places(y, x, step.layer.factor))
    builder.record(step, _COPY)


def _same_places(deep: View, wide: View, factor: int) -> tuple[View, View]:
    """(N, C * r^n, *L) and (N, C, *(L * r)) in one shape, in which they are equal.

    That is (N, C, L0, r, L1, r, ...): factor r of a channel is r places of an axis.
    """
    rank = len(wide.shape) - 2
    pairs = [(2 + rank + axis, 2 + axis) for axis in range(rank)]
    split = deep.split(1, (wide.shape[1], *[factor] * rank))
    for axis in reversed(range(rank)):
        wide = wide.split(2 + axis, (deep.shape[2 + axis], factor))
    return split.permuted((0, 1, *chain.from_iterable(pairs))), wide


TABLE: dict[type[Layer], Emitter] = {
    layers.Flatten: _reshape,
    layers.Reshape: _reshape,
    layers.Permute: _permute,
    layers.Slice: _slice,
    layers.PixelShuffle: _pixel_shuffle,
    layers.PixelUnshuffle: _pixel_unshuffle,
}
