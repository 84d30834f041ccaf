"""The memory in use, step by step: what it is for, its peak, and the device's limit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from convserve.pictures.labels import label_steps
from convserve.pictures.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, Axes
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
    _mark_peak(axes, peak, len(moments), totals[peak] / scale, _peak_text(moments[peak]))
    _name_phases(axes, moments)
    changes = [i for i in range(1, len(totals)) if totals[i] != totals[i - 1]]
    changes.sort(key=lambda i: -abs(totals[i] - totals[i - 1]))
    label_steps(axes, [moment.layer for moment in moments], [peak, *changes], width)
    of = f"training with {plan.optimizer}" if plan.training else "inference"
    axes.set_title(f"Memory of {of}{' (N = 1)' if plan.symbolic_batch else ''}", pad=20)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.01),
        borderaxespad=0,
        ncols=6,
        borderpad=0,
        handlelength=1.2,
    )


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
        axes.annotate(
            text,
            (1, 1),
            xycoords="axes fraction",
            xytext=(0, 4),
            textcoords="offset points",
            ha="right",
            color=GREY,
            fontsize=8.5,
        )
        return 0.0
    axes.axhline(limit / scale, color=INK, linestyle=(0, (5, 3)), linewidth=1.2)
    axes.annotate(
        f"{name}: {byte_text(limit)}",
        (1, limit / scale),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        fontsize=8.5,
    )
    return limit / scale


def _mark_peak(axes: Axes, step: int, count: int, height: float, text: str) -> None:
    axes.plot([step + 0.5], [height], marker="v", color=INK, markersize=6, clip_on=False)
    left = step < count / 2
    axes.annotate(
        text,
        (step + 0.5, height),
        xytext=(8 if left else -8, 5),
        textcoords="offset points",
        ha="left" if left else "right",
        fontsize=9,
        fontweight="bold",
    )


def _peak_text(moment: MemoryMoment) -> str:
    phase = "" if moment.phase == "forward" else f", {moment.phase}"
    return f"peak {byte_text(moment.byte_count)} at {moment.layer}{phase}"


def _name_phases(axes: Axes, moments: Sequence[MemoryMoment]) -> None:
    """Where training turns round, for a timeline of several phases."""
    start = 0
    phases = [(phase, len(list(run))) for phase, run in groupby(moments, lambda each: each.phase)]
    for phase, length in phases if len(phases) > 1 else ():
        if start:
            axes.axvline(start, color=GREY, linewidth=0.8, linestyle=":")
        is_last = start > LAST_PART * len(moments)
        axes.annotate(
            phase,
            (start, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-3 if is_last else 3, -10),
            textcoords="offset points",
            ha="right" if is_last else "left",
            color=GREY,
            fontsize=8.5,
        )
        start += length


def _unit(count: int) -> tuple[float, str]:
    """The power of 1024 below the number, and its name."""
    power = 0
    while power < len(_UNITS) - 1 and count >= 1024 ** (power + 1):
        power += 1
    return float(1024**power), _UNITS[power]
