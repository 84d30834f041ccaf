"""What a benchmark finds: series of numbers, rows that set them beside others, and the table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import field, frozen
from convserve.tables import Column


def _as_floats(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(values)


@frozen
class Series:
    """One number of each round, and what it is a number of. Never empty."""

    name: str
    unit: str
    values: tuple[float, ...] = field(converter=_as_floats)

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between these lies the middle half of the rounds."""
        if len(self.values) == 1:
            return self.values[0], self.values[0]
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    def __str__(self) -> str:
        text = f"{_digits(self.median)} {self.unit}"
        if len(self.values) == 1:
            return text
        low, high = self.quartiles
        return f"{text} [{_digits(low)} to {_digits(high)}]"


@frozen
class Bound:
    """What is asked of a row: that its ratio, or its value where nothing is beside it, be so."""

    limit: float
    is_least: bool

    def holds(self, value: float) -> bool:
        """Whether `value` is within it."""
        return value >= self.limit if self.is_least else value <= self.limit


def at_least(limit: float) -> Bound:
    """A bound from below."""
    return Bound(limit, is_least=True)


def at_most(limit: float) -> Bound:
    """A bound from above."""
    return Bound(limit, is_least=False)


@frozen
class Row:
    """Something measured, what it is measured against in the same rounds, and what is asked."""

    what: str
    ours: Series
    beside: Series | None = None
    asked: Bound | None = None

    @property
    def value(self) -> float:
        """The ratio of the medians; the median where nothing is beside it."""
        if self.beside is None:
            return self.ours.median
        return self.ours.median / self.beside.median if self.beside.median else float("inf")

    @property
    def is_met(self) -> bool | None:
        """Whether it is as asked; None where nothing is asked."""
        return None if self.asked is None else self.asked.holds(self.value)

    def asked_text(self) -> str:
        """Such as `>= 6x` and `<= 100 ms`."""
        if self.asked is None:
            return ""
        unit = "x" if self.beside else f" {self.ours.unit}"
        return f"{'>=' if self.asked.is_least else '<='} {self.asked.limit:g}{unit}"

    def document(self) -> dict[str, Any]:
        """The row as plain data, with the numbers of every round."""
        return {
            "what": self.what,
            "measured": _document(self.ours),
            "beside": self.beside and _document(self.beside),
            "ratio": self.value if self.beside else None,
            "asked": self.asked_text(),
            "met": self.is_met,
        }


def table(groups: Iterable[tuple[str, Sequence[Row]]]) -> str:
    """All rows under each other, those of one benchmark together."""
    named = [(name, row) for name, rows in groups for row in rows]
    rows = [row for _, row in named]
    names = [name for name, _ in named]
    columns = (
        Column("", tuple(_first_of_each(names))),
        Column("What", tuple(row.what for row in rows)),
        Column("Measured", tuple(str(row.ours) for row in rows)),
        Column("Beside", tuple(row.beside.name if row.beside else "" for row in rows)),
        Column("Measured", tuple(str(row.beside or "") for row in rows)),
        Column("Ratio", tuple(f"{row.value:.2f}x" if row.beside else "" for row in rows), True),
        Column("Asked", tuple(row.asked_text() for row in rows), True),
        Column("Met", tuple({True: "yes", False: "NO", None: ""}[row.is_met] for row in rows)),
    )
    lines = zip(*(column.lines() for column in columns), strict=True)
    return "\n".join("  ".join(cells).rstrip() for cells in lines)


def _first_of_each(names: Sequence[str]) -> list[str]:
    before = ["", *names]
    return ["" if name == last else name for last, name in zip(before, names, strict=False)]


def _document(series: Series) -> dict[str, Any]:
    return {
        "name": series.name,
        "unit": series.unit,
        "median": series.median,
        "quartiles": series.quartiles,
        "values": series.values,
    }


def _digits(value: float) -> str:
    """Three digits, and all of those before the point; none behind it that nobody measures."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else "0"
