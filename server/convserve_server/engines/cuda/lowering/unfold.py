"""Windows as columns, which is a copy, and columns added into windows."""

from __future__ import annotations

import math

from attrs import evolve
from convserve import layers
from convserve.layers import Layer
from convserve.tensors import Shape

from convserve_server.engines.cuda.lowering.builder import Builder, Emitter
from convserve_server.engines.cuda.lowering.pad import padded
from convserve_server.engines.cuda.lowering.windows import RANK, Windows, lifted, pairs
from convserve_server.engines.cuda.views import View
from convserve_server.engines.reference.unfold import window_counts
from convserve_server.planning.program import Step


def _unfold(builder: Builder, step: Step) -> None:
    layer = step.layer
    assert isinstance(layer, layers.Unfold)
    (x,) = builder.inputs_of(step)
    counts = window_counts(layer, x.shape[2:])
    x = padded(builder, x, pairs(layer.padding))
    taps = zip(layer.dilation, x.strides[2:], strict=True)
    places = zip(layer.stride, x.strides[2:], strict=True)
    windows = evolve(
        x,
        shape=(*x.shape[:2], *layer.kernel_size, *counts),
        strides=(*x.strides[:2], *(d * s for d, s in taps), *(n * s for n, s in places)),
    )
    y = builder.result(step.output, last=False)
    builder.copy(_as_windows(y, layer.kernel_size, counts), windows)
    builder.record(step, "copy")


def _fold(builder: Builder, step: Step) -> None:
    layer = step.layer
    assert isinstance(layer, layers.Fold)
    (x,) = builder.inputs_of(step)
    counts = window_counts(layer, layer.output_size)
    missing = (1,) * (RANK - len(counts))
    columns = _as_windows(x, (*missing, *layer.kernel_size), (*missing, *counts))
    y = lifted(builder.result(step.output))
    windows = Windows(layer.stride, pairs(layer.padding), layer.dilation)
    types = (y.dtype, x.dtype)
    builder.launch("Fold", types, y, columns, *windows.arguments, count=y.element_count)
    builder.record(step, "fold")


def _as_windows(columns: View, kernel_size: Shape, counts: Shape) -> View:
    """(N, C * prod(kernel_size), windows) as (N, C, *kernel_size, *counts)."""
    channels = columns.shape[1] // math.prod(kernel_size)
    return columns.split(2, counts).split(1, (channels, *kernel_size))


TABLE: dict[type[Layer], Emitter] = {layers.Unfold: _unfold, layers.Fold: _fold}
