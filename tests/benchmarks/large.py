"""64 MiB of float32 there and back: over TCP, and through shared memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import convserve_client as cs
import numpy as np

from tests.benchmarks import callers, works
from tests.benchmarks.options import Options, echo_server
from tests.benchmarks.remote import interleave, remote
from tests.benchmarks.rounds import Round, run_threads
from tests.benchmarks.rows import Row, Series, at_least
from tests.server import start_server

GIB_BOTH_WAYS = 2 * 64 / 1024


@contextmanager
def local_large() -> Iterator[callers.Caller]:
    """The identity by a server of one's own."""
    x, weight = works.large()
    with cs.local() as client:

        def call() -> None:
            client.conv(x, weight)

        yield lambda threads, count: run_threads(call, threads, count)


@contextmanager
def copies() -> Iterator[callers.Caller]:
    """64 MiB copied there and back in memory that is mapped already."""
    x, _ = works.large()
    there, back = np.ones_like(x), np.ones_like(x)

    def call() -> None:
        np.copyto(there, x)
        np.copyto(back, there)

    yield lambda threads, count: run_threads(call, threads, count)


def measure(options: Options) -> list[Row]:
    """Throughput both ways."""
    with (
        start_server() as server,
        echo_server() as echo_address,
        options.pytriton() as triton,
        remote(callers.blocking_large, server.address) as ours,
        remote(callers.blocking_large_echo, echo_address) as echo,
        remote(local_large) as local,
        remote(copies) as copy,
    ):
        works: dict[str, Callable[[], Round]] = {
            "convserve": lambda: ours(1, 1),
            "bare unary echo": lambda: echo(1, 1),
            "shared memory": lambda: local(1, 1),
            "two NumPy copies": lambda: copy(1, 1),
        }
        if triton:
            works["PyTriton echo"] = lambda: triton("echo", 1, 1)
        rounds = interleave(options.pick(21, 3), works)
    rates = {name: _rate(name, each) for name, each in rounds.items()}
    tcp, memory, copied = (rates["convserve"], rates["shared memory"], rates["two NumPy copies"])
    rows = [
        Row("identity of 64 MiB over TCP", tcp, rates["bare unary echo"]),
        Row("through shared memory (this or the next)", memory, asked=at_least(5)),
        Row("through shared memory (this or the last)", memory, copied, at_least(0.5)),
    ]
    if triton:
        rows.insert(0, Row("identity of 64 MiB over TCP", tcp, rates["PyTriton echo"], at_least(6)))
    return rows


def _rate(name: str, rounds: list[Round]) -> Series:
    return Series(name, "GiB/s", [GIB_BOTH_WAYS / each["times"][0] for each in rounds])
