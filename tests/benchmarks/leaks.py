"""What is left after callers that cancel, stay idle or stop reading."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from tests.benchmarks.options import Options
from tests.benchmarks.rows import Row, Series, at_most
from tests.load.faults import cancel_calls, idle_connections, stopped_reader
from tests.load.usage import settle, tensor_bytes, usage_of_server
from tests.server import RunningServer, start_server

MIB = 1 << 20
GROWTH_MIB = 64
SEED = 1


def measure(options: Options) -> list[Row]:
    """Memory, threads, descriptors and tensor memory after each, beyond those before."""
    count, idle = options.pick(5000, 320), 200
    faults: dict[str, Callable[[str], None]] = {
        f"{count:,} cancelled calls": partial(_cancel, count),
        f"{idle} idle connections": partial(_connect, idle),
        "a reader that stopped": _stop_reading,
    }
    with start_server("--log-level=warning") as server:
        for fault in (partial(_cancel, 320), partial(_connect, idle), _stop_reading):
            fault(server.address)  # what the first of each leaves is kept for good
        return [row for name, fault in faults.items() for row in _rows(server, name, fault)]


def _rows(server: RunningServer, name: str, fault: Callable[[str], None]) -> list[Row]:
    before = settle(server, usage_of_server(server))
    fault(server.address)
    after = settle(server, before)

    def row(what: str, unit: str, gained: float, most: float) -> Row:
        return Row(f"after {name}: {what}", Series("", unit, [gained]), asked=at_most(most))

    grown = (after.memory_bytes - before.memory_bytes) / MIB
    return [
        row("memory gained", "MiB", grown, GROWTH_MIB),
        row("threads gained", "threads", after.threads - before.threads, 0),
        row("descriptors gained", "descriptors", after.descriptors - before.descriptors, 0),
        row("tensor memory held", "bytes", tensor_bytes(server), 0),
    ]


def _cancel(count: int, address: str) -> None:
    asyncio.run(cancel_calls(address, count, SEED))


def _connect(count: int, address: str) -> None:
    async def connect() -> None:
        async with idle_connections(address, count):
            pass

    asyncio.run(connect())


def _stop_reading(address: str) -> None:
    with stopped_reader(address):
        pass
