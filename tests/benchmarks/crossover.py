"""Where an FFT overtakes the direct sum on this machine: `python -m tests.benchmarks.crossover`.

Prints the times, and with `--write` puts the crossovers into the table that the cpu engine reads.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import resources
from time import perf_counter

import numpy as np
from convserve.operations import Convolve
from convserve.tensors import Array, empty, spec_of
from convserve_server.engines.cpu.engine import CpuEngine
from convserve_server.planning.operations import plan_operation

DTYPES = ("float32", "float64", "complex64", "complex128")
LONG = {1: (1 << 18,), 2: (512, 512)}
TAPS = {1: (8, 16, 32, 48, 64, 96, 128, 192, 256, 512), 2: (2, 3, 4, 5, 7, 9, 11, 15, 21, 31)}
SHORTER = {
    1: tuple((1 << n,) for n in range(8, 19)),
    2: tuple((n, n) for n in (16, 32, 64, 128, 256)),
}
REPEATS = 15
METHOD = "best of 15, engine calls with method direct and fft, 2**18 samples or 512 x 512"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace crossover.json")
    options, _ = parser.parse_known_args()
    engine = CpuEngine()
    entries = list(measure_all(engine))
    table = {
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} processors",
        "method": METHOD,
        "entries": entries,
    }
    sys.stdout.write(f"{json.dumps(table, indent=2)}\n")
    if options.write:
        with resources.as_file(resources.files("convserve_server.engines.cpu")) as folder:
            (folder / "crossover.json").write_text(f"{json.dumps(table, indent=2)}\n")


def measure_all(engine: CpuEngine) -> Iterator[dict[str, object]]:
    for dtype in DTYPES:
        for rank, long in LONG.items():
            taps = first_gain(engine, dtype, [(long, (size,) * rank) for size in TAPS[rank]])
            short = taps[1]
            wide = tuple(2 * size for size in short)
            pairs = [(size, wide) for size in SHORTER[rank] if size >= wide]
            small = first_gain(engine, dtype, pairs or [taps])
            yield {
                "dtype": dtype,
                "rank": rank,
                "taps": int(np.prod(short)),
                "macs": int(np.prod(small[0]) * np.prod(small[1])),
            }


def first_gain(
    engine: CpuEngine, dtype: str, pairs: list[tuple[tuple[int, ...], tuple[int, ...]]]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The pair of shapes from which on the FFT is faster every time; the last if it never is."""
    found = pairs[-1]
    for long, short in reversed(pairs):
        a, v = random_array(dtype, long), random_array(dtype, short)
        direct, fft = (measure(engine, a, v, method) for method in ("direct", "fft"))
        sys.stdout.write(
            f"{dtype:10} {long} * {short}: direct {direct * 1e3:.3f} ms, fft {fft * 1e3:.3f} ms\n"
        )
        if fft >= direct:
            break
        found = (long, short)
    return found


def measure(engine: CpuEngine, a: Array, v: Array, method: str) -> float:
    """The best time of a call, in seconds."""
    step = plan_operation(Convolve("same", method), [spec_of("a", a), spec_of("v", v)])
    out, times = empty(step.output), []
    for _ in range(REPEATS):
        start = perf_counter()
        engine.run(step, {"a": a, "v": v}, {step.output.name: out})
        times.append(perf_counter() - start)
    return min(times)


def random_array(dtype: str, shape: tuple[int, ...]) -> Array:
    generator = np.random.default_rng(0)
    return generator.standard_normal((*shape, 2)).view(np.complex128)[..., 0].astype(dtype)


if __name__ == "__main__":
    main()
