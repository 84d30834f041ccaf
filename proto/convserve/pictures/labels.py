"""Names of layers along an axis, as many as can be read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from convserve.pictures.style import Axes

LABEL_INCHES = 0.17  # along the axis, for one slanted name
MAX_CHARACTERS = 22


def label_steps(axes: Axes, names: Sequence[str], important: Iterable[int], width: float) -> None:
    """Name the steps under their middles: all, or where `width` inches are too few, some.

    The important ones come first, in their order.
    """
    chosen = choose(len(names), important, max(1, int(width / LABEL_INCHES)))
    axes.set_xticks([step + 0.5 for step in chosen])
    axes.set_xticklabels(
        [short(names[step]) for step in chosen],
        rotation=50,
        ha="right",
        rotation_mode="anchor",
        fontsize=7.5,
    )
    axes.set_xlim(0, max(1, len(names)))


def choose(count: int, important: Iterable[int], room: int) -> list[int]:
    """At most `room` of the numbers from 0 to count - 1, none too near to another."""
    if count <= room:
        return list(range(count))
    gap = math.ceil(count / room)
    taken: set[int] = set()
    for step in (*important, *range(0, count, gap)):
        if not any(step + shift in taken for shift in range(1 - gap, gap)):
            taken.add(step)
    return sorted(taken)


def short(name: str) -> str:
    """The name, or its end, which tells more than its beginning."""
    return name if len(name) <= MAX_CHARACTERS else f"…{name[1 - MAX_CHARACTERS :]}"
