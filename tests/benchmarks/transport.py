"""A large tensor through Run, beside one unary message of its size to a bare echo server.

Both ways, interleaved, medians. Also: how much front and worker grow meanwhile (proportional set
size), and one 3 GiB tensor.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import convserve_client as cs
import grpc
import numpy as np

from tests.server import RunningServer, start_server

MIB = 1 << 20
ROUNDS = 61  # fewer leave the median to chance: 9 gave ratios from 2.6 to 3.6


@contextmanager
def echo_server() -> Iterator[Callable[[bytes], bytes]]:
    """A call to a bare grpc.aio echo server in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks._echo_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            echo: Any = channel.unary_unary("/echo.Echo/Echo")
            yield echo
        process.stdin.close()
        process.wait()


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def proportional_set_bytes(pid: int) -> int:
    """Memory of a process, shared pages counted in proportion."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024


def server_pids(server: RunningServer) -> list[int]:
    """The front, and the workers that it started."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [server.pid, *map(int, children)]


def growth(server: RunningServer, work: Callable[[], object]) -> int:
    """The most bytes that front and worker had together during `work`, beyond before it."""
    pids = server_pids(server)
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


def compare_speed() -> None:
    """64 MiB both ways: Run's stream, and one unary message."""
    x = np.random.default_rng(0).random((1, 1, 4096, 4096), np.float32)
    relu, kernel = cs.Network([cs.ReLU()]), np.full((1, 1, 3, 3), 1 / 9, np.float32)
    data = x.tobytes()
    with start_server() as server, cs.connect(server.address) as client, echo_server() as echo:
        out = np.empty_like(x)
        works: dict[str, Callable[[], object]] = {
            "unary echo": lambda: echo(data),
            "Run, relu": lambda: client.run(relu, x),
            "Run, relu, out=": lambda: client.run(relu, x, out=out),
            "Run, 3x3 convolution": lambda: client.conv(x, kernel, padding=1),
        }
        times: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(ROUNDS):
            for name, work in works.items():
                times[name].append(seconds(work))
        base = statistics.median(times["unary echo"])
        print(f"64 MiB both ways over loopback TCP, medians of {ROUNDS} interleaved rounds:")
        for name, each in times.items():
            median = statistics.median(each)
            speed = 2 * 64 / 1024 / median
            print(f"  {name:22s} {median * 1e3:7.1f} ms  {speed:5.2f} GiB/s  {base / median:5.2f}x")


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
    """Run all three."""
    compare_speed()
    compare_memory()
    send_three_gibibytes()


if __name__ == "__main__":
    main()
