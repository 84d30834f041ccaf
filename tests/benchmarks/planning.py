"""What plans cost: cold and from the cache, by the number of layers, and beside torchinfo."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from tests.benchmarks import callers
from tests.benchmarks.options import Options
from tests.benchmarks.plans import plans
from tests.benchmarks.remote import Remote, interleave, remote
from tests.benchmarks.rounds import Round, percentile
from tests.benchmarks.rows import Row, Series, at_least, at_most
from tests.benchmarks.summaries import summaries
from tests.server import start_server

CALLS = 1000  # of each round
LONG, LONGER = 1_000, 10_000  # layers


def measure(options: Options) -> list[Row]:
    """A cold plan, cached ones, and plans of long networks."""
    with remote(plans) as plan:
        cold = _measure_cold(plan, options)
        long = [_measure_long(plan, kind, options) for kind in ("chain", "residual")]
    return [*cold, *_measure_cached(options), *long]


def _measure_cold(plan: Remote, options: Options) -> list[Row]:
    """Each plan is of another size, so that nothing of it is known."""
    sizes = iter(range(224, 1000))
    with remote(summaries) as summarise:
        rounds: dict[str, list[float]] = interleave(
            options.pick(20, 5),
            {
                "ours": lambda: plan("resnet50", 0, (1, 3, next(sizes), 224)),
                "torchinfo": lambda: summarise(),
            },
        )
    ours, theirs = (
        _milliseconds("", rounds["ours"]),
        _milliseconds("torchinfo", rounds["torchinfo"]),
    )
    return [
        Row("ResNet-50, not planned before", ours, None, at_most(10)),
        Row("the same", ours, theirs, at_most(1 / 20)),
    ]


def _measure_cached(options: Options) -> list[Row]:
    """One plan over gRPC again and again: by one caller, and by as many as it takes."""
    with (
        start_server() as server,
        remote(callers.blocking_plan, server.address) as one,
        remote(callers.awaiting_plan, server.address) as many,
    ):
        rounds: dict[str, list[Round]] = interleave(
            options.pick(10, 2), {"one": lambda: one(1, CALLS), "many": lambda: many(16, CALLS)}
        )
    latency = [percentile(each["times"], 50) for each in rounds["one"]]
    rates = [CALLS / each["seconds"] for each in rounds["many"]]
    return [
        Row("a cached plan over gRPC", _milliseconds("", latency), None, at_most(0.5)),
        Row("cached plans by 16 tasks", Series("", "plans/s", rates), None, at_least(1000)),
    ]


def _measure_long(plan: Remote, kind: str, options: Options) -> Row:
    """A layer of a long network costs as much as one of a shorter one."""
    shape = (1, 8, 6, 6)
    counts = {f"of {count:,}": count for count in (LONG, LONGER)}
    rounds: dict[str, list[float]] = interleave(
        options.pick(5, 2),
        {name: partial(plan, kind, count, shape) for name, count in counts.items()},
    )
    beside, ours = (
        Series(name, "us", (each / count * 1e6 for each in rounds[name]))
        for name, count in counts.items()
    )
    return Row(f"one of {LONGER:,} layers, {kind}", ours, beside, at_most(1.3))


def _milliseconds(name: str, times: Iterable[float]) -> Series:
    return Series(name, "ms", (time * 1e3 for time in times))
