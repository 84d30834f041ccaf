"""One small convolution at a time: how much a call costs."""

from __future__ import annotations

from collections.abc import Callable

from tests.benchmarks import callers
from tests.benchmarks.options import Options, echo_server
from tests.benchmarks.remote import interleave, remote
from tests.benchmarks.rounds import Round, percentile
from tests.benchmarks.rows import Bound, Row, Series, at_most
from tests.server import start_server

CALLS = 100  # of each round
ECHO, TRITON = at_most(1.8), at_most(0.4)
BLOCKING, AWAITING = "Client", "AsyncClient"


def measure(options: Options) -> list[Row]:
    """Latency, in the median of rounds and at the 99th percentile of all calls."""
    with (
        start_server() as server,
        echo_server() as echo_address,
        options.pytriton() as triton,
        remote(callers.blocking_small, server.address) as blocking,
        remote(callers.awaiting_small, server.address) as awaiting,
        remote(callers.blocking_echo, echo_address) as blocking_echo,
        remote(callers.awaiting_echo, echo_address) as awaiting_echo,
    ):
        works: dict[str, Callable[[], Round]] = {
            BLOCKING: lambda: blocking(1, CALLS),
            "bare blocking echo": lambda: blocking_echo(1, CALLS),
            AWAITING: lambda: awaiting(1, CALLS),
            "bare aio echo": lambda: awaiting_echo(1, CALLS),
        }
        if triton:
            works["PyTriton"] = lambda: triton("small", 1, CALLS)
        rounds = interleave(options.pick(20, 3), works)
    pairs = [(BLOCKING, "bare blocking echo", ECHO), (AWAITING, "bare aio echo", ECHO)]
    if triton:
        pairs += [(BLOCKING, "PyTriton", TRITON), (AWAITING, "PyTriton", TRITON)]
    return [row for pair in pairs for row in _rows(rounds, *pair)]


def _rows(rounds: dict[str, list[Round]], ours: str, peer: str, asked: Bound) -> list[Row]:
    medians, p99 = (
        [measured(rounds, name) for name in (ours, peer)] for measured in (_medians, _p99)
    )
    rows = [Row(f"small convolution by {ours}", medians[0], medians[1], asked)]
    if asked is ECHO:
        rows.append(Row("the same, 99th percentile", p99[0], p99[1], asked))
    return rows


def _medians(rounds: dict[str, list[Round]], name: str) -> Series:
    return Series(name, "ms", [percentile(each["times"], 50) * 1e3 for each in rounds[name]])


def _p99(rounds: dict[str, list[Round]], name: str) -> Series:
    times = [time for each in rounds[name] for time in each["times"]]
    return Series(name, "ms", [percentile(times, 99) * 1e3])
