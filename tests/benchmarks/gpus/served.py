"""The GPU through the server: transfers, many callers, what our worker adds, and tiles."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import convserve_client as cs
import numpy as np
from convserve.tensors import Array

from tests.benchmarks.rounds import seconds
from tests.benchmarks.rows import Row, Series, at_least
from tests.benchmarks.works import residual
from tests.server import start_server

CLIENTS, SECONDS, ROUNDS = 16, 10.0, 11
TRANSFER_BYTES_PER_SECOND = 55e9  # of PCIe 5.0 x16, one direction
MIB = 1 << 20
ARENA_MIB = 1024


def measure() -> list[Row]:
    """All of it, with a server of its own for each memory."""
    return [_transfers(), _busy(), *_tiles()]


@contextmanager
def server(*flags: str) -> Iterator[str]:
    """The address of a server that computes on the first GPU."""
    with TemporaryDirectory() as folder:
        address = f"unix:{folder}/socket"
        with start_server("--listen", address, "--device=cuda:0", *flags):
            yield address


def _transfers() -> Row:
    """256 MiB each way, and next to nothing computed."""
    x = np.random.default_rng(0).random((1, 1, 8192, 8192), np.float32)
    weight = np.ones((1, 1, 1, 1), np.float32)
    with server() as address, cs.connect(address) as client:
        times = [seconds(lambda: client.conv(x, weight)) for _ in range(ROUNDS + 1)][1:]
    rates = [x.nbytes / each / 1e9 for each in times]
    bus = Series("PCIe 5.0 x16", "GB/s", [TRANSFER_BYTES_PER_SECOND / 1e9])
    return Row("256 MiB each way, shared memory", Series("ours", "GB/s", rates), bus, at_least(0.8))


def _busy() -> Row:
    """How much of the time the GPU computes while 16 clients call ResNet-50."""
    network, weights, x = residual()
    with server() as address, cs.connect(address) as client:
        model = client.load(network, weights)
        model(x)
        samples = _while_called(address, model, x)
    return Row(
        f"busy under {CLIENTS} clients",
        Series("utilisation", "%", [mean(samples)]),
        asked=at_least(90),
    )


def _while_called(address: str, model: cs.Model, x: Array) -> list[float]:
    """What NVML says of the GPU's use, while so many call for so long."""
    pynvml: Any = import_module("pynvml")
    batch = np.repeat(x, 32, axis=0)
    end = time.monotonic() + SECONDS

    def call() -> None:
        with cs.connect(address) as client:
            own = client.model(model.id)
            while time.monotonic() < end:
                own(batch)

    callers = [threading.Thread(target=call) for _ in range(CLIENTS)]
    for each in callers:
        each.start()
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    samples = []
    while any(each.is_alive() for each in callers):
        callers[0].join(0.25)
        samples.append(float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu))
    pynvml.nvmlShutdown()
    return samples[4:-2]


def _tiles() -> Iterator[Row]:
    """A volume of four times the arena's size, beside one that fits: rates by volume."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((16, 16, 3, 3, 3)).astype(np.float32)
    rates = {}
    with server(f"--gpu-memory-bytes={ARENA_MIB}MiB") as address, cs.connect(address) as client:
        for share in (0.25, 4.0):
            depth = int(share * ARENA_MIB * MIB / (16 * 256 * 256 * 4))
            x = rng.random((1, 16, depth, 256, 256), np.float32)
            times = [seconds(partial(client.conv, x, weight, padding=1)) for _ in range(4)][1:]
            rates[share] = Series(f"{share:g} of it", "GB/s", [x.nbytes / t / 1e9 for t in times])
    yield Row("a volume of 4 times the arena, by tiles", rates[4.0], rates[0.25], at_least(0.8))
