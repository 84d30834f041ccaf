"""What of its peaks the cpu engine reaches on this machine: `python -m tests.benchmarks.calibrate`.

Prints it, and with `--write` replaces the file that time estimates for CPUs are made from.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from convserve.layers import (
    Add,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    GlobalAvgPool,
    Layer,
    MaxPool,
    ReLU,
    Softmax,
)
from convserve.networks import Network
from convserve.tensors import TensorSpec, empty
from convserve_server.engines.cpu.engine import CpuEngine
from convserve_server.planning.graph import Sample, walk
from convserve_server.planning.planner import compile_network
from convserve_server.planning.timing import Cost, cost_of

REPEATS = 31
METHOD = "best of 31 engine calls per layer in float32; peaks are the best of all layers"

# ResNet's, VGG's and MobileNet's layers, 1-D and 3-D ones, and what is between them.
LAYERS: tuple[tuple[Layer, tuple[int, ...]], ...] = (
    (Conv(64, 7, stride=2, padding=3), (1, 3, 224, 224)),
    (Conv(64, 3, padding=1), (1, 64, 56, 56)),
    (Conv(256, 1), (1, 64, 56, 56)),
    (Conv(512, 3, padding=1), (1, 512, 7, 7)),
    (Conv(2048, 1), (1, 512, 7, 7)),
    (Conv(64, 3, padding=1), (1, 64, 224, 224)),
    (Conv(128, 3, padding=4, dilation=4), (1, 128, 4096)),
    (Conv(32, 3, padding=1), (1, 32, 24, 24, 24)),
    (ConvTranspose(64, 2, stride=2), (1, 128, 64, 64)),
    (Dense(1000), (32, 2048)),
    (Conv(64, 3, padding=1, groups=64), (1, 64, 112, 112)),
    (Conv(256, 3, padding=1, groups=256), (1, 256, 28, 28)),
    (Conv(960, 5, padding=2, groups=960), (1, 960, 7, 7)),
    (ReLU(), (8, 64, 112, 112)),
    (BatchNorm(), (8, 64, 112, 112)),
    (MaxPool(3, stride=2, padding=1), (8, 64, 112, 112)),
    (GlobalAvgPool(), (32, 2048, 7, 7)),
    (Add(inputs=("input", "input")), (8, 64, 112, 112)),
    (Softmax(), (1024, 1000)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace _cpu.json")
    options, _ = parser.parse_known_args()
    text = f"{json.dumps(_document(), indent=1)}\n"
    sys.stdout.write(text)
    if options.write:
        with resources.as_file(resources.files("convserve_server.planning.devices")) as folder:
            (folder / "_cpu.json").write_text(text)


def _document() -> dict[str, Any]:
    threads = len(os.sched_getaffinity(0))
    engine = CpuEngine(threads)
    results = [_measure(engine, layer, shape) for layer, shape in LAYERS]
    rate = max(cost.flop_count / seconds for seconds, cost in results)
    moved = [(s, cost.byte_count) for s, cost in results if cost.kind == "elementwise"]
    bandwidth = max(size / seconds for seconds, size in moved)
    shares: dict[str, list[float]] = {}
    for (layer, shape), (seconds, cost) in zip(LAYERS, results, strict=True):
        share = max(cost.flop_count / rate, cost.byte_count / bandwidth) / seconds
        shares.setdefault(cost.kind, []).append(share)
        print(f"{share:5.2f} {cost.kind:12} {shape!s:22} {layer!r:.60}", file=sys.stderr)
    return {
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {threads} processors",
        "method": METHOD,
        "fp32_rate_per_thread": round(rate / threads),
        "memory_bandwidth": round(bandwidth),
        "efficiency": {
            **{kind: _efficiency(found) for kind, found in shares.items()},
            "transfer": {"estimate": 1.0, "least": 1.0},  # tensors are in the same memory
            "launch_seconds": _launch(engine),
        },
    }


def _efficiency(shares: Sequence[float]) -> dict[str, float]:
    return {"estimate": round(median(shares), 2), "least": round(min(shares), 2)}


def _launch(engine: CpuEngine) -> dict[str, float]:
    """What a layer takes that does nothing: in a chain of them, and in a call of its own."""
    chain = 64
    seconds, _ = _measure(engine, ReLU(), (1, 1, 1), chain)
    alone, _ = _measure(engine, ReLU(), (1, 1, 1))
    return {"estimate": round((seconds - alone) / (chain - 1), 8), "most": round(alone, 8)}


def _measure(
    engine: CpuEngine, layer: Layer, shape: tuple[int, ...], count: int = 1
) -> tuple[float, Cost]:
    """Seconds of a call of `count` such layers in a chain, and what one of them costs."""
    network = Network([layer] * count)
    *_, node = walk(network, {"input": Sample("input", "float32", shape[1:])}, shape[0])
    specs = [TensorSpec("input", "float32", shape), *node.parameters]
    rng = np.random.default_rng(0)
    tensors = {s.name: rng.random(s.shape, np.float32) for s in specs}
    program = compile_network(network, specs)
    outputs = {node.output.name: empty(node.output.spec(shape[0]))}
    times = []
    for _ in range(REPEATS):
        start = perf_counter()
        engine.run(program, tensors, outputs, key="calibration")
        times.append(perf_counter() - start)
    engine.forget("calibration")
    return min(times), cost_of(node, shape[0])


if __name__ == "__main__":
    main()
