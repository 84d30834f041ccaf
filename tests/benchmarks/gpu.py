"""The GPU engine beside torch and the roofline: `python -m tests.benchmarks.gpu [NAME ...]`.

Needs a GPU, `convserve-server[cuda]`, and torch for CUDA. The names: `layers` of ResNet-50 at batch
32 and 256, `networks`, `others`, `overhead` of a call over the bare execution, and `served`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from statistics import median
from time import perf_counter

import numpy as np
from convserve.layers import Conv
from convserve.networks import Network
from convserve.tensors import TensorSpec
from convserve_server.engines.base import Views
from convserve_server.engines.cuda.cuda_device import CudaDevice
from convserve_server.planning.planner import compile_network

from tests.benchmarks.gpus import served, works
from tests.benchmarks.gpus.results import Result, results_table
from tests.benchmarks.gpus.works import Work
from tests.benchmarks.rows import Row, Series, at_most, table
from tests.gpu.machine import open_device, open_engine

PROFILE = "h200"
MEMORY_BYTES = 48 << 30  # torch needs the rest
CALLS = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASURES)}")
    chosen = parser.parse_args().names or list(MEASURES)
    if unknown := set(chosen) - set(MEASURES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    for name in chosen:
        sys.stdout.write(f"\n{name}\n{MEASURES[name]()}\n")
        sys.stdout.flush()


def _layers() -> str:
    return _compared(work for batch in works.BATCHES for work in works.resnet_layers(batch))


def _networks() -> str:
    return _compared(works.networks(), recorded=False)


def _others() -> str:
    return _compared(works.others())


def _compared(measured: Iterable[Work], *, recorded: bool = True) -> str:
    """Beside torch op by op, and also as a graph if that is to be its best."""
    from tests.benchmarks.gpus.ours import Ours
    from tests.benchmarks.gpus.peer import torch_seconds

    device = open_device(MEMORY_BYTES)
    try:
        ours = Ours(device)
        results = []
        for work in measured:
            best = torch_seconds(work, recorded=False)
            if recorded:
                best = min(best, torch_seconds(work, recorded=True))
            results.append(
                Result(
                    work.name,
                    work.label,
                    ours.seconds(work),
                    ours.algorithms(work),
                    work.least_seconds(PROFILE),
                    best,
                    work.count,
                )
            )
        return results_table(results)
    finally:
        device.close()


def _overhead() -> str:
    device = open_device(1 << 30)
    try:
        return table([("overhead", [_call_overhead(device)])])
    finally:
        device.close()


def _call_overhead(device: CudaDevice) -> Row:
    """What a call of the engine takes beyond the execution of its plan, on a small convolution."""
    from tests.benchmarks.gpus.ours import Ours

    specs = (
        TensorSpec("input", "float32", (1, 64, 8, 8)),
        TensorSpec("conv.weight", "float32", (64, 64, 1, 1)),
    )
    network = Network([Conv(64, 1, bias=False, name="conv")])
    bare = Ours(device).seconds(Work("bare", network, specs[0].shape))
    engine = open_engine(device)
    program = compile_network(network, specs)
    tensors = {spec.name: np.ones(spec.shape, np.float32) for spec in specs}
    views = Views(tensors, {"conv": np.empty((1, 64, 8, 8), np.float32)})
    times = []
    for _ in range(CALLS):
        start = perf_counter()
        engine.begin(program, [views], "key").finish()
        times.append(perf_counter() - start - bare)
    return Row(
        "a call over the bare execution",
        Series("ours", "us", [median(times) * 1e6]),
        asked=at_most(60),
    )


def _served() -> str:
    return table([("served", served.measure())])


MEASURES: dict[str, Callable[[], str]] = {
    "layers": _layers,
    "networks": _networks,
    "others": _others,
    "overhead": _overhead,
    "served": _served,
}


if __name__ == "__main__":
    main()
