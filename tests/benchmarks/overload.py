"""Four times as many calls as the server can compute, for 20 seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter
from typing import Any

import convserve_client as cs
from attrs import frozen

from tests.benchmarks import works
from tests.benchmarks.callers import open_heavy
from tests.benchmarks.options import Options
from tests.benchmarks.remote import Remote, remote
from tests.benchmarks.rounds import percentile, run_tasks
from tests.benchmarks.rows import Row, Series, at_least, at_most
from tests.server import start_server

QUEUE = 64
PROCESSES, TASKS = 2, 16
TIMES_CAPACITY = 4
NORMAL = 2.0  # times the usual latency is normal again
PROBES = 5  # calls in a row that must be normal
GIVE_UP_SECONDS = 60

Outcomes = list[tuple[str, float]]  # how a call ended, and its seconds


@frozen
class Storm:
    """Calls that began at a rate: until the last began, and from then until all had ended."""

    outcomes: Outcomes
    offered_seconds: float
    drain_seconds: float

    @property
    def seconds(self) -> float:
        """From the first begin to the last end."""
        return self.offered_seconds + self.drain_seconds

    def __add__(self, other: Storm) -> Storm:
        """Both, at the same time."""
        return Storm(
            self.outcomes + other.outcomes,
            max(self.offered_seconds, other.offered_seconds),
            max(self.drain_seconds, other.drain_seconds),
        )

    def times(self, name: str) -> list[float]:
        """Seconds of the calls that ended so."""
        return [seconds for outcome, seconds in self.outcomes if outcome == name]


@contextmanager
def callers(address: str) -> Iterator[Callable[..., Any]]:
    """Closed loop by a number of calls, open loop by a rate and seconds. Nothing is repeated."""
    x = works.heavy()[2]
    with asyncio.Runner() as runner:
        client, model = runner.run(open_heavy(address))

        async def call() -> str:
            try:
                await model(x)
            except cs.ConvserveError as error:
                return type(error).__name__
            return "done"

        def work(kind: str, *arguments: Any) -> Any:
            if kind == "closed":
                return runner.run(run_tasks(call, TASKS, *arguments))
            return runner.run(_arrive(call, *arguments))

        yield work
        runner.run(model.close())
        runner.run(client.close())


async def _arrive(
    call: Callable[[], Any], rate: float, seconds: float
) -> tuple[Outcomes, float, float]:
    """Begin calls at a rate, whatever becomes of those before. Returns the fields of a `Storm`."""
    loop = asyncio.get_running_loop()
    outcomes: Outcomes = []

    async def one() -> None:
        start = perf_counter()
        outcome = await call()
        outcomes.append((outcome, perf_counter() - start))

    begin, count = loop.time(), max(1, int(rate * seconds))
    calls: list[asyncio.Task[None]] = []
    all_begun = loop.create_future()
    for number in range(count):
        loop.call_at(begin + number / rate, lambda: calls.append(loop.create_task(one())))
    loop.call_at(begin + count / rate, all_begun.set_result, None)
    await all_begun
    offered = loop.time() - begin
    await asyncio.gather(*calls)
    return outcomes, offered, loop.time() - begin - offered


def measure(options: Options) -> list[Row]:
    """Refusals, goodput, latency of what is accepted, and recovery."""
    seconds, count = options.pick(20, 3), options.pick(800, 160)
    with ExitStack() as stack:
        server = stack.enter_context(start_server(f"--queue-length={QUEUE}"))
        asks = [stack.enter_context(remote(callers, server.address)) for _ in range(PROCESSES)]
        probe = stack.enter_context(_prober(server.address))
        usual = percentile([probe() for _ in range(30)], 50)
        _ask_all(asks, "closed", 3 * TASKS)
        rounds = _ask_all(asks, "closed", count)
        peak = Series("peak, closed loop", "calls/s", [_rate_of(rounds)])
        rate = TIMES_CAPACITY * peak.median / PROCESSES
        first, *others = (Storm(*each) for each in _ask_all(asks, "open", rate, seconds))
        storm = sum(others, first)
        recovery = storm.drain_seconds + _recovery(probe, usual)
    normal = percentile([time for each in rounds for time in each["times"]], 99)
    return [
        *_rows(storm, peak, normal),
        Row("one call is as fast as before after", Series("", "s", [recovery]), asked=at_most(5)),
    ]


def _rows(storm: Storm, peak: Series, normal: float) -> list[Row]:
    done, refused = storm.times("done"), storm.times("OverloadedError")
    others = len(storm.outcomes) - len(done) - len(refused)
    offered = Series("", "calls/s", [len(storm.outcomes) / storm.offered_seconds])
    goodput = Series("", "calls/s", [len(done) / storm.seconds])
    waiting = QUEUE / goodput.median + normal if done else 0.0
    implied = Series("queue length / goodput", "ms", [waiting * 1e3])
    return [
        Row("offered", offered, peak),
        Row("refused within, 99th percentile", _ms(refused, 99), asked=at_most(100)),
        Row("refused within, at most", _ms(refused, 100), asked=at_most(100)),
        Row("goodput", goodput, peak, at_least(0.8)),
        Row("accepted calls, 99th percentile", _ms(done, 99), implied, at_most(1)),
        Row("calls that ended otherwise", Series("", "calls", [others]), asked=at_most(0)),
    ]


def _ms(times: list[float], percent: float) -> Series:
    return Series("", "ms", [percentile(times or [0.0], percent) * 1e3])


def _ask_all(asks: list[Remote], *arguments: Any) -> list[Any]:
    for ask in asks:
        ask.start(*arguments)
    return [ask.finish() for ask in asks]


def _rate_of(rounds: list[Any]) -> float:
    return float(sum(len(each["times"]) / each["seconds"] for each in rounds))


@contextmanager
def _prober(address: str) -> Iterator[Callable[[], float]]:
    """The seconds of one small call; they count as far too many if it is refused."""
    x, weight = works.small()
    with cs.connect(address, max_retries=0) as client:

        def probe() -> float:
            start = perf_counter()
            try:
                client.conv(x, weight, padding=1)
            except cs.OverloadedError:
                return float("inf")
            return perf_counter() - start

        yield probe


def _recovery(probe: Callable[[], float], usual: float) -> float:
    """Seconds from now until the first of five calls in a row that take their usual time."""
    start, first, normal = perf_counter(), perf_counter(), 0
    while normal < PROBES and perf_counter() - start < GIVE_UP_SECONDS:
        before = perf_counter()
        if probe() > NORMAL * usual:
            normal = 0
            continue
        first = first if normal else before
        normal += 1
    return first - start if normal == PROBES else float("inf")
