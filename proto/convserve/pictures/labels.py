"""Names of layers along an axis, as many as can be read."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import compress

from convserve.pictures.style import Axes

LABEL_INCHES = 0.17  # along the axis, for one slanted name
MAX_CHARACTERS = 22
MIN_END = 6  # characters of a long name's end


def label_steps(axes: Axes, names: Sequence[str], important: Iterable[int], width: float) -> None:
    """Name the steps under their middles: all, or where `width` inches are too few, some.

    The important ones come first, in their order.
    """
    chosen = choose(len(names), important, max(1, int(width / LABEL_INCHES)))
    labels = shorten(names)
    axes.set_xticks([step + 0.5 for step in chosen])
    axes.set_xticklabels(
        [labels[step] for step in chosen],
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


def shorten(names: Sequence[str], limit: int = MAX_CHARACTERS) -> list[str]:
    """The names in at most `limit` characters each, and different ones still different.

    A long one is shown by its end, which tells more than its beginning. Before ends that are alike
    stand those parts of the names that differ, or where that is too long their numbers.
    """
    alike: dict[tuple[str, int], list[str]] = {}
    for name in dict.fromkeys(names):
        alike.setdefault((_ended("…", name, limit), len(_parts(name))), []).append(name)
    labels: dict[str, str] = {}
    for group in alike.values():
        heads = _heads(group) if len(group) > 1 else ["…"]
        labels |= {n: _ended(head, n, limit) for n, head in zip(group, heads, strict=True)}
    counts = Counter(labels.values())
    for number, (name, label) in enumerate(labels.items(), 1):
        if counts[label] > 1:
            labels[name] = _ended(f"#{number}…", name, limit)
    return [labels[name] for name in names]


def _heads(names: Sequence[str]) -> list[str]:
    """What differs of names with as many parts each: `0…11…`."""
    rows = [_parts(name) for name in names]
    varying = [len(set(column)) > 1 for column in zip(*rows, strict=True)]
    return ["".join(f"{part}…" for part in compress(row, varying)) for row in rows]


def _parts(name: str) -> list[str]:
    return re.split(r"[/.]", name)


def _ended(head: str, name: str, limit: int) -> str:
    """The name; its end behind a head where it is too long."""
    if len(name) <= limit:
        return name
    if len(head) > limit - MIN_END:
        head = f"{head[: limit - MIN_END - 1]}…"
    return head + name[len(head) - limit :]
