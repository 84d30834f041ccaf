"""Many callers at once: of a small convolution, and of one that is mostly computing."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from convserve.tensors import empty, spec_of
from convserve_server.engines.cpu.engine import CpuEngine
from convserve_server.planning.planner import compile_network

from tests.benchmarks import callers, works
from tests.benchmarks.options import Options, echo_server
from tests.benchmarks.remote import interleave, remote
from tests.benchmarks.rounds import Round, run_threads
from tests.benchmarks.rows import Row, Series, at_least
from tests.server import start_server

CLIENTS = 32
HEAVY_CLIENTS = 8


def measure(options: Options) -> list[Row]:
    """Calls each second."""
    return [*measure_small(options), *measure_heavy(options)]


def measure_small(options: Options) -> list[Row]:
    """32 clients, in one process as tasks and as threads."""
    count = options.pick(6400, 960)
    with (
        start_server() as server,
        echo_server() as echo_address,
        options.pytriton() as triton,
        remote(callers.awaiting_small, server.address) as tasks,
        remote(callers.blocking_small, server.address) as threads,
        remote(callers.awaiting_echo, echo_address) as echo,
        remote(callers.blocking_echo, echo_address) as threaded_echo,
    ):
        works: dict[str, Callable[[], Round]] = {
            "AsyncClient": lambda: tasks(CLIENTS, count),
            "bare echo, 32 tasks": lambda: echo(CLIENTS, count),
            "Client": lambda: threads(CLIENTS, count),
            "bare echo, 32 threads": lambda: threaded_echo(CLIENTS, count),
        }
        if triton:
            works["PyTriton, 32 threads"] = lambda: triton("small", CLIENTS, count)
        rounds = interleave(options.pick(7, 1), works)
    rates = {name: _rate(name, each) for name, each in rounds.items()}
    ours = {"32 tasks of one AsyncClient": "AsyncClient", "32 threads of one Client": "Client"}
    asked = {"bare echo, 32 tasks": 0.65, "bare echo, 32 threads": 0.65}
    rows = [
        Row(what, rates[name], rates[peer], at_least(limit))
        for (what, name), (peer, limit) in zip(ours.items(), asked.items(), strict=True)
    ]
    if triton:
        peer = rates["PyTriton, 32 threads"]
        rows += [Row(what, rates[name], peer, at_least(1.3)) for what, name in ours.items()]
    return rows


def measure_heavy(options: Options) -> list[Row]:
    """8 clients of the heavy convolution, beside the engine alone at the batch that they formed."""
    count = options.pick(240, 40)
    with start_server() as server, remote(callers.awaiting_heavy, server.address) as ours:
        sizes = ours(HEAVY_CLIENTS, count)["answers"]
        batch = max(1, round(statistics.mean(sizes)))
        with remote(engine, batch) as alone:
            rounds = interleave(
                options.pick(7, 1),
                {
                    "convserve": partial(ours, HEAVY_CLIENTS, count),
                    "the engine": partial(alone, 1, max(1, count // batch)),
                },
            )
    rates = _rate("convserve", rounds["convserve"])
    inside = _rate(f"the engine, batch {batch}", rounds["the engine"], batch)
    return [Row("heavy convolution, 8 tasks", rates, inside, at_least(0.9))]


@contextmanager
def engine(batch: int) -> Iterator[callers.Caller]:
    """The heavy convolution of a batch by the engine, in its process."""
    network, weights, x = works.heavy()
    tensors = {network.inputs[0]: np.repeat(x, batch, axis=0), **weights}
    program = compile_network(network, [spec_of(name, each) for name, each in tensors.items()])
    outputs = {"narrow": empty(program.steps[-1].output)}
    cpu = CpuEngine()
    yield partial(run_threads, lambda: _drop(cpu.run(program, tensors, outputs, key="heavy")))


def _drop(_: object) -> None:
    """Records are not for keeping."""


def _rate(name: str, rounds: list[Round], batch: int = 1) -> Series:
    return Series(
        name, "calls/s", [batch * len(each["times"]) / each["seconds"] for each in rounds]
    )
