"""What was measured on a GPU, and the tables of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from attrs import frozen
from convserve.tables import Column


@frozen
class Result:
    """Seconds of ours, of torch (if it was asked), and those that the roofline leaves (if known).

    `weight` is how much it counts in a mean: how often a layer comes in its network.
    """

    name: str
    kind: str
    seconds: float
    algorithm: str = ""
    least_seconds: float | None = None
    torch_seconds: float | None = None
    weight: int = 1

    @property
    def share(self) -> float | None:
        """What share of the roofline is reached."""
        return None if self.least_seconds is None else self.least_seconds / self.seconds

    @property
    def ratio(self) -> float | None:
        """How many times as fast as torch ours is."""
        return None if self.torch_seconds is None else self.torch_seconds / self.seconds


def results_table(results: Sequence[Result]) -> str:
    """A line for each, and a line for each kind with the means."""
    columns = (
        Column("What", tuple(each.name for each in results)),
        Column("Type", tuple(each.kind for each in results)),
        Column("Time", tuple(_time(each.seconds) for each in results), True),
        Column("Roofline", tuple(_time(each.least_seconds) for each in results), True),
        Column("Reached", tuple(_percent(each.share) for each in results), True),
        Column("torch", tuple(_time(each.torch_seconds) for each in results), True),
        Column("Faster", tuple(_times(each.ratio) for each in results), True),
        Column("By", tuple(each.algorithm for each in results)),
    )
    lines = zip(*(column.lines() for column in columns), strict=True)
    table = ["  ".join(cells).rstrip() for cells in lines]
    return "\n".join([*table, *means(results)])


def means(results: Sequence[Result]) -> list[str]:
    """The geometric means over each kind."""
    found = []
    for kind in dict.fromkeys(each.kind for each in results):
        own = [each for each in results if each.kind == kind]
        ratio = _mean((each.ratio, each.weight) for each in own)
        share = _mean((each.share, each.weight) for each in own)
        found.append(
            f"geometric mean of {kind}: {_times(ratio) or 'no'} torch's speed, "
            f"{_percent(share) or 'unknown share'} of the roofline"
        )
    return found


def _mean(values: Iterable[tuple[float | None, int]]) -> float | None:
    known = [(value, weight) for value, weight in values if value is not None]
    if not known:
        return None
    total = sum(weight for _, weight in known)
    return math.exp(sum(weight * math.log(value) for value, weight in known) / total)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds * 1e6:,.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:,.2f} ms"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x"
