"""How shapes and receptive fields change from layer to layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from matplotlib.ticker import FuncFormatter, LogLocator

from convserve.pictures.labels import label_steps
from convserve.pictures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    TITLE_POINTS,
    Axes,
    legend_above,
)
from convserve.plans import LayerPlan, Plan

AXIS_COLOURS = (RED, ORANGE, GREEN)
_LINES = ("-", (0, (4, 2)), (0, (1, 1)))
Numbers = Sequence[float]


def draw_shapes(axes: Axes, plan: Plan, width: float) -> None:
    """Channels, and the size along each spatial axis, of every layer's result."""
    shapes = [layer.output.shape[1:] for layer in plan.layers]
    _line(axes, [shape[0] if shape else math.nan for shape in shapes], BLUE, "channels", "-")
    rank = max((len(shape) - 1 for shape in shapes), default=0)
    sizes = [
        [shape[axis + 1] if len(shape) > axis + 1 else math.nan for shape in shapes]
        for axis in range(rank)
    ]
    _draw_axes(axes, sizes, "size of each axis")
    _finish(axes, "Shapes through the network")
    label_steps(axes, _names(plan), _turns(plan.layers), width)


def draw_fields(axes: Axes, plan: Plan, width: float) -> None:
    """The receptive field along each spatial axis, against the input's own size."""
    fields = [layer.receptive_field for layer in plan.layers]
    rank = max((len(field.size) for field in fields if field is not None), default=0)
    sizes = [
        [field.size[axis] if field and len(field.size) > axis else math.nan for field in fields]
        for axis in range(rank)
    ]
    _draw_axes(axes, sizes, "receptive field")
    jumps = [
        float(field.jump[0]) if field and field.jump and field.jump[0] else math.nan
        for field in fields
    ]
    _line(axes, jumps, GREY, "step between outputs", (0, (3, 1)))
    inputs = plan.inputs[0].shape[2 : 2 + rank]
    label = "input"
    for size in dict.fromkeys(inputs):
        axes.axhline(size, color=BLUE, linewidth=1, linestyle=(0, (6, 3)), label=label)
        label = "_nolegend_"
    _finish(axes, f"Receptive field (input {' × '.join(map(str, inputs))})")
    label_steps(axes, _names(plan), _turns(plan.layers), width)


def has_fields(plan: Plan) -> bool:
    """Whether any layer has a receptive field to draw."""
    return any(layer.receptive_field and layer.receptive_field.size for layer in plan.layers)


def _draw_axes(axes: Axes, sizes: Sequence[Numbers], what: str) -> None:
    """One line per spatial axis; a single one where all are equal."""
    same = all(repr(line) == repr(sizes[0]) for line in sizes)
    lines = (
        [("", sizes[0])]
        if sizes and same
        else [(f"axis {n + 1}", line) for n, line in enumerate(sizes)]
    )
    for (axis, line), colour, dash in zip(lines, AXIS_COLOURS, _LINES, strict=False):
        _line(axes, line, colour, ", ".join(filter(None, (what, axis))), dash)
        what = ""


def _line(axes: Axes, values: Numbers, colour: str, label: str, dash: object) -> None:
    """A level for each step. What is not positive has no place on a logarithmic axis."""
    levels = [value if value > 0 else math.nan for value in values]
    if all(map(math.isnan, levels)):
        return
    for start, stop in _runs(levels):
        axes.stairs(
            levels[start:stop],
            range(start, stop + 1),
            baseline=None,
            color=colour,
            linewidth=1.8,
            linestyle=dash,
            label=label,
        )
        label = "_nolegend_"


def _runs(levels: Numbers) -> list[tuple[int, int]]:
    """Where there are numbers: first and last plus one of each stretch."""
    runs, start = [], 0
    for is_gap, run in groupby(levels, math.isnan):
        stop = start + len(list(run))
        if not is_gap:
            runs.append((start, stop))
        start = stop
    return runs


def _turns(layers: Sequence[LayerPlan]) -> list[int]:
    """Layers where the spatial sizes change, then those where the channels do."""
    shapes = [layer.output.shape for layer in layers]
    steps = range(1, len(shapes))
    sizes = [i for i in steps if shapes[i][2:] != shapes[i - 1][2:]]
    return [0, *sizes, *(i for i in steps if shapes[i] != shapes[i - 1])]


def _names(plan: Plan) -> list[str]:
    return [layer.name for layer in plan.layers]


def _finish(axes: Axes, title: str) -> None:
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_locator(LogLocator(base=2, numticks=9))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(LogLocator(base=2, subs=()))
    axes.set_title(title, pad=TITLE_POINTS)
    legend_above(axes, 2.2)
