"""The memory that a plan predicts for the worker, beside what the worker takes.

`python -m tests.benchmarks memory`. For each network and batch a server of its own starts; its
worker is idle after a small call. Then the network is loaded and called three times. What is
measured is the most that the worker had resident, its own and shared memory, above what it had
before; what is predicted is the plan's peak and `engine_bytes`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import convserve_client as cs
import numpy as np
from attrs import frozen
from convserve.networks import Network
from convserve.tensors import Array

from tests.benchmarks.options import Options
from tests.benchmarks.rows import Row, Series, at_most
from tests.load.usage import worker_pids
from tests.networks import alexnet, resnet50, unet, vgg16
from tests.server import start_server

MIB = 1 << 20
CALLS = 3
CASES: tuple[tuple[Callable[[], Network], int, tuple[int, ...]], ...] = (
    (alexnet, 224, (1, 4, 16)),
    (vgg16, 224, (1, 4, 16)),
    (resnet50, 224, (1, 4, 16)),
    (unet, 256, (1, 4, 12)),
)


@frozen
class Prediction:
    """What a plan says that a worker takes, and what it took."""

    predicted_bytes: int
    measured_bytes: int


def measure(options: Options) -> list[Row]:
    """How far the prediction of the worker's peak is off."""
    return [
        _row(f"{make.__name__}, batch {batch}", predict_and_measure(make(), (batch, 3, size, size)))
        for make, size, batches in CASES
        for batch in batches[: options.pick(len(batches), 1)]
    ]


def predict_and_measure(network: Network, shape: tuple[int, ...]) -> Prediction:
    """Run the network on zeros in a server of its own."""
    with start_server("--workers", "1", "--log-level=warning") as server:
        (pid,) = worker_pids(server)
        with cs.connect(server.address) as client:
            plan = client.plan(network, shape, explain=False)
            weights = dict(_weights(plan))
            client.conv(np.ones((1, 1, 8, 8), np.float32), np.ones((1, 1, 3, 3), np.float32))
            before = _reset_peak(pid)
            with client.load(network, weights) as model:
                for _ in range(CALLS):
                    model(np.zeros(shape, np.float32))
                peak = _status(pid, "VmHWM")
    return Prediction(plan.peak_memory_bytes + plan.engine_bytes, peak - before)


def _weights(plan: cs.Plan) -> Iterable[tuple[str, Array]]:
    for layer in plan.layers:
        for spec in layer.parameters:
            yield spec.name, np.full(spec.shape, 0.01, np.float32)


def _row(what: str, found: Prediction) -> Row:
    predicted, measured = found.predicted_bytes / MIB, found.measured_bytes / MIB
    off = 100 * abs(predicted - measured) / measured
    numbers = f"{measured:.0f} MiB measured, {predicted:.0f} predicted"
    return Row(f"{what}: {numbers}, off by", Series("", "%", [off]), asked=at_most(10))


def _reset_peak(pid: int) -> int:
    """Begin to count anew. Returns what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _status(pid, "VmRSS")


def _status(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    assert found
    return int(found[1]) << 10
