"""What a server holds: memory, threads and descriptors of its processes, and tensor memory."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from attrs import frozen

from tests.server import RunningServer
from tests.wire import scrape

SETTLE_SECONDS = 20
# The event loop's own executor starts threads when it first needs them, and keeps so many.
EXECUTOR_THREADS = (os.cpu_count() or 1) + 4


@frozen
class Usage:
    """What processes hold. `memory_bytes` is their own, without files and shared memory."""

    memory_bytes: int
    threads: int
    descriptors: int

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.memory_bytes + other.memory_bytes,
            self.threads + other.threads,
            self.descriptors + other.descriptors,
        )


def worker_pids(server: RunningServer) -> list[int]:
    """The processes that the front has started."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


def usage_of(pid: int) -> Usage:
    """What one process holds now."""
    status = Path(f"/proc/{pid}/status").read_text()
    memory, threads = (
        int(match[1])
        for name in ("RssAnon", "Threads")
        if (match := re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE))
    )
    return Usage(memory * 1024, threads, len(os.listdir(f"/proc/{pid}/fd")))


def usage_of_workers(server: RunningServer) -> Usage:
    """What its workers hold together."""
    return sum(map(usage_of, worker_pids(server)), Usage(0, 0, 0))


def usage_of_server(server: RunningServer) -> Usage:
    """What front and workers hold together."""
    return usage_of(server.pid) + usage_of_workers(server)


def tensor_bytes(server: RunningServer) -> int:
    """Tensor memory that calls hold, by the server's own account."""
    return int(scrape(server.metrics_address)["convserve_tensor_bytes_in_flight"])


def logged_faults(server: RunningServer) -> list[str]:
    """The tracebacks of its log."""
    return [line for line in server.log.splitlines() if "Traceback" in line]


def is_back(now: Usage, before: Usage) -> bool:
    """Whether no descriptor is left over, and no thread that is not the executor's."""
    return (
        now.threads <= before.threads + EXECUTOR_THREADS and now.descriptors <= before.descriptors
    )


def settle(server: RunningServer, before: Usage) -> Usage:
    """What is held when threads, descriptors and tensor memory are back, or after 20 seconds.

    A server learns of a caller that has gone when its own call ends: to ask it again is the wait.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        held = tensor_bytes(server)
        now = usage_of_server(server)
        if (is_back(now, before) and not held) or time.monotonic() > deadline:
            return now
