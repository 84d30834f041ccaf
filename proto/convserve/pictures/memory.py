"""The memory in use, step by step: what it is for, its peak, and the device's limit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from convserve.pictures.labels import MAX_CHARACTERS, label_steps, shorten
from convserve.pictures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    TITLE_POINTS,
    Axes,
    legend_above,
    note,
)
from convserve.plans import MemoryMoment, Plan
from convserve.tables import byte_text

# part -> its colour, from what stays to what comes and goes
PARTS = {
    "weight": ("weights", BLUE),
    "optimizer": ("optimizer state", PURPLE),
    "gradient": ("gradients", GREEN),
    "activation": ("activations", SKY),
    "workspace": ("workspace", ORANGE),
}
HEADROOM = 1.22  # of the peak, for what is written above it
PHASE_HEADROOM = 1.42  # and for the phases of training above that
NEAR = 3.0  # times the peak: a limit further away is only said
PEAK_INCHES = 0.1  # for a character of what is said of it
LAST_PART = 0.9  # of the steps: what begins behind has its name to the left
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def draw_memory(axes: Axes, plan: Plan, width: float) -> None:
    """The plan's timeline as a stack of its parts."""
    moments = plan.timeline
    totals = [moment.byte_count for moment in moments]
    peak = max(range(len(moments)), key=totals.__getitem__)
    scale, unit = _unit(totals[peak])
    _stack(axes, moments, scale)
    top = _draw_limit(axes, plan, totals[peak], scale)
    headroom = PHASE_HEADROOM if plan.training else HEADROOM
    axes.set_ylim(0, headroom * max(top, totals[peak] / scale))
    axes.set_ylabel(unit)
    _mark_peak(axes, moments, peak, totals[peak] / scale, width)
    _name_phases(axes, moments)
    changes = [i for i in range(1, len(totals)) if totals[i] != totals[i - 1]]
    changes.sort(key=lambda i: -abs(totals[i] - totals[i - 1]))
    label_steps(axes, [moment.layer for moment in moments], [peak, *changes], width)
    of = f"training with {plan.optimizer}" if plan.training else "inference"
    axes.set_title(f"Memory of {of}{' (N = 1)' if plan.symbolic_batch else ''}", pad=TITLE_POINTS)
    legend_above(axes, 1.2)


def _stack(axes: Axes, moments: Sequence[MemoryMoment], scale: float) -> None:
    edges = range(len(moments) + 1)
    below = [0.0] * len(edges)
    for part, (label, colour) in PARTS.items():
        sizes = [getattr(moment, f"{part}_bytes") / scale for moment in moments]
        if not any(sizes):
            continue
        above = [low + size for low, size in zip(below, (*sizes, sizes[-1]), strict=True)]
        axes.fill_between(edges, below, above, step="post", color=colour, linewidth=0, label=label)
        below = above


def _draw_limit(axes: Axes, plan: Plan, peak: int, scale: float) -> float:
    """The device's memory as a line if it is near, and as words if not; the line's height."""
    if plan.fit is None:
        return 0.0
    name, limit = plan.fit.device, plan.fit.memory_bytes
    if peak <= 0 or limit > NEAR * peak:
        text = f"{name} has {byte_text(limit)}"
        note(axes, text, (1, 1), (0, TITLE_POINTS), "axes fraction", ha="right", color=GREY)
        return 0.0
    height = limit / scale
    axes.axhline(height, color=INK, linestyle=(0, (5, 3)), linewidth=1.2)
    text = f"{name}: {byte_text(limit)}"
    note(axes, text, (1, height), (0, 3), ("axes fraction", "data"), ha="right")
    return height


def _mark_peak(
    axes: Axes, moments: Sequence[MemoryMoment], step: int, height: float, width: float
) -> None:
    """The peak and its layer, written to the side that has more of the `width` inches."""
    axes.plot([step + 0.5], [height], marker="v", color=INK, markersize=6, clip_on=False)
    place = (step + 0.5) / len(moments)
    shift, align = ((8, 5), "left") if place < 0.5 else ((-8, 5), "right")
    text = _peak_text(moments, step, int(width * max(place, 1 - place) / PEAK_INCHES))
    note(axes, text, (step + 0.5, height), shift, ha=align, fontsize=9, fontweight="bold")


def _peak_text(moments: Sequence[MemoryMoment], step: int, room: int) -> str:
    """`peak 12.0 MiB at conv1`, in so many characters if the layer's name can be cut to that."""
    moment = moments[step]
    size = f"peak {byte_text(moment.byte_count)} at "
    phase = "" if moment.phase == "forward" else f", {moment.phase}"
    limit = max(MAX_CHARACTERS, room - len(size) - len(phase))
    return size + shorten([each.layer for each in moments], limit)[step] + phase


def _name_phases(axes: Axes, moments: Sequence[MemoryMoment]) -> None:
    """Where training turns round, for a timeline of several phases."""
    start = 0
    phases = [(phase, len(list(run))) for phase, run in groupby(moments, lambda each: each.phase)]
    for phase, length in phases if len(phases) > 1 else ():
        if start:
            axes.axvline(start, color=GREY, linewidth=0.8, linestyle=":")
        shift, align = ((3, -10), "left")
        if start > LAST_PART * len(moments):
            shift, align = ((-3, -10), "right")
        note(axes, phase, (start, 1), shift, ("data", "axes fraction"), ha=align, color=GREY)
        start += length


def _unit(count: int) -> tuple[float, str]:
    """The power of 1024 below the number, and its name."""
    power = 0
    while power < len(_UNITS) - 1 and count >= 1024 ** (power + 1):
        power += 1
    return float(1024**power), _UNITS[power]
