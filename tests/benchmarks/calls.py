"""Small calls through the client: float64 beside float32, first calls of new shapes, refusals."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import convserve_client as cs
import numpy as np

from tests.server import start_server

ROUNDS = 30
NEW_SHAPES = 25


def milliseconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def compare_dtypes(client: cs.Client) -> None:
    """A 3x3 convolution of 64 to 64 channels at 56x56, in both types, interleaved."""
    random = np.random.default_rng(0)
    x, weight = random.standard_normal((1, 64, 56, 56)), random.standard_normal((64, 64, 3, 3))
    times: dict[str, list[float]] = {"float32": [], "float64": []}
    computed: dict[str, list[float]] = {"float32": [], "float64": []}
    for _ in range(ROUNDS):
        for dtype in times:
            arguments = (x.astype(dtype), weight.astype(dtype))
            with client.trace() as calls:
                times[dtype].append(milliseconds(partial(client.conv, *arguments, padding=1)))
            computed[dtype].append(calls[0].compute_seconds * 1e3)
    print(f"1x64x56x56, 64 filters of 3x3, medians of {ROUNDS} interleaved rounds:")
    for dtype in times:
        whole, inside = statistics.median(times[dtype]), statistics.median(computed[dtype])
        print(f"  {dtype}: {whole:.2f} ms a call, {inside:.2f} ms of it in the engine")
    ratio = statistics.median(computed["float32"]) / statistics.median(computed["float64"])
    print(f"  float64 runs at {ratio:.2f}x of float32's speed in the engine")


def time_new_shapes(client: cs.Client) -> None:
    """How much more the first call of a shape costs than the second."""
    random = np.random.default_rng(0)
    extra = []
    for number in range(NEW_SHAPES):
        x = random.random((1, 64, 40 + number, 56), np.float32)
        weight = random.random((64, 64, 3, 3), np.float32)
        first, second = (milliseconds(partial(client.conv, x, weight)) for _ in range(2))
        extra.append(first - second)
    print(
        f"a first call of a new shape and new weights costs {statistics.median(extra):.1f} ms more "
        f"in the median, {max(extra):.1f} ms at most, of {NEW_SHAPES}"
    )


def time_refusals(client: cs.Client) -> None:
    """How soon wrong input is refused."""
    x, weight = np.ones((1, 4, 8, 8), np.float32), np.ones((4, 4, 3, 3), np.float32)
    wrong: dict[str, Callable[[], Any]] = {
        "kernel larger than the input": lambda: client.conv(x[..., :2], weight),
        "groups that do not divide": lambda: client.conv(x, weight, groups=3),
        "output padding too large": lambda: client.conv_transpose(x, weight, output_padding=2),
        "rank mismatch": lambda: client.conv(x[0, 0, 0], weight),
        "10^15 outputs": lambda: client.run(cs.Network([cs.Upsample(2**23)]), x),
        "2^32 x 2^32": lambda: client.plan(cs.Network([cs.ReLU()]), (1, 1, 2**32, 2**32)),
        "a missing weight": lambda: client.run(cs.Network([cs.Conv(4, 3)]), x),
    }
    for name, call in wrong.items():
        times = [milliseconds(partial(_refused, call)) for _ in range(10)]
        print(f"  refused in {statistics.median(times):5.2f} ms, {max(times):5.2f} at most: {name}")


def _refused(call: Callable[[], Any]) -> None:
    try:
        call()
    except cs.ConvserveError:
        return
    raise AssertionError("wrong input was accepted")


def main() -> None:
    """Run all three."""
    with start_server() as server, cs.connect(server.address) as client:
        compare_dtypes(client)
        time_new_shapes(client)
        time_refusals(client)


if __name__ == "__main__":
    main()
