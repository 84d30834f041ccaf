"""How much front and worker grow while a large tensor goes through (proportional set size), and
one tensor of 3 GiB. How fast: `large`.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import convserve_client as cs
import numpy as np

from tests.load.usage import worker_pids
from tests.server import RunningServer, start_server

MIB = 1 << 20


def proportional_set_bytes(pid: int) -> int:
    """Memory of a process, shared pages counted in proportion."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024


def growth(server: RunningServer, work: Callable[[], object]) -> int:
    """The most bytes that front and worker had together during `work`, beyond before it."""
    pids = [server.pid, *worker_pids(server)]
    before = sum(map(proportional_set_bytes, pids))
    peak, stop = [before], threading.Event()

    def watch() -> None:
        while not stop.wait(0.002):
            peak.append(sum(map(proportional_set_bytes, pids)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    stop.set()
    watcher.join()
    return max(peak) - before


def compare_memory() -> None:
    """How much front and worker grow while they serve one 64 MiB tensor, from a fresh start."""
    x = np.random.default_rng(0).random((1, 1, 4096, 4096), np.float32)
    kernel = np.full((1, 1, 3, 3), 1 / 9, np.float32)
    works: dict[str, Callable[[cs.Client], object]] = {
        "relu": lambda client: client.run(cs.Network([cs.ReLU()]), x),
        "3x3 convolution": lambda client: client.conv(x, kernel, padding=1),
    }
    for name, work in works.items():
        with start_server() as server, cs.connect(server.address) as client:
            client.conv(x[..., :512, :512], kernel)  # what the first call of all imports
            grown = growth(server, partial(work, client))
            ratio = grown / x.nbytes
            print(f"front and worker grow by {grown / MIB:.0f} MiB, {ratio:.2f}x ({name})")


def send_three_gibibytes() -> None:
    """One tensor of 3 GiB."""
    x = np.zeros((1, 1, 3 * 1024, 256 * 1024), np.float32)
    x[..., ::1000] = -1
    with (
        start_server("--tensor-pool-bytes=8GiB") as server,
        cs.connect(server.address, timeout=300) as client,
    ):
        start = time.perf_counter()
        y = client.run(cs.Network([cs.ReLU()]), x)
        took = time.perf_counter() - start
        assert isinstance(y, np.ndarray)
        assert not y.any()
        print(f"3 GiB both ways: {took:.1f} s, {6 / took:.2f} GiB/s")


def main() -> None:
    """Run both."""
    compare_memory()
    send_three_gibibytes()


if __name__ == "__main__":
    main()
