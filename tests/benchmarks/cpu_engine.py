"""The cpu engine's speed by layer and type: `python -m tests.benchmarks.cpu_engine`.

Each line: the first call (with making the session), the second (with weights becoming constants),
the best of the following, and its rate at two operations per multiplication (eight if complex).
"""

from __future__ import annotations

import math
import sys
from time import perf_counter
from typing import Any

import numpy as np
from attrs import frozen
from convserve.layers import Conv, ConvTranspose
from convserve.networks import Network
from convserve.tensors import Array, dtype_of, empty, spec_of
from convserve_server.engines.cpu.engine import CpuEngine
from convserve_server.planning.planner import compile_network

REPEATS = 15


@frozen
class Case:
    """A layer called `conv` without bias, the shape of its input, and its weight's."""

    name: str
    layer: Conv | ConvTranspose
    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]


def conv(
    name: str, input_shape: tuple[int, ...], weight_shape: tuple[int, ...], **options: Any
) -> Case:
    out_channels, _, *kernel_size = weight_shape
    layer = Conv(out_channels, kernel_size, bias=False, name="conv", **options)
    return Case(name, layer, input_shape, weight_shape)


RESNET = conv("3x3 64-64 @56", (1, 64, 56, 56), (64, 64, 3, 3), padding=1)
CASES = (
    RESNET,
    conv("depthwise 64 @112", (1, 64, 112, 112), (64, 1, 3, 3), padding=1, groups=64),
    conv("1x1 256-64 @56", (1, 256, 56, 56), (64, 256, 1, 1)),
    conv("11x11 3-64 @224", (1, 3, 224, 224), (64, 3, 11, 11), stride=4, padding=2),
    conv("1-D 64-64 @4096", (1, 64, 4096), (64, 64, 5), padding=2),
    conv("3-D 16-16 @16x32x32", (1, 16, 16, 32, 32), (16, 16, 3, 3, 3), padding=1),
    conv("one channel 3x3 @1024", (1, 1, 1024, 1024), (1, 1, 3, 3), padding=1),
    conv("batch of 256, 16-16 @8", (256, 16, 8, 8), (16, 16, 3, 3), padding=1),
    Case(
        "transposed 64-32 @28",
        ConvTranspose(32, 4, stride=2, padding=1, bias=False, name="conv"),
        (1, 64, 28, 28),
        (64, 32, 4, 4),
    ),
)
DTYPES = ("float16", "bfloat16", "complex64", "complex128", "int8", "int32")


def main() -> None:
    engine = CpuEngine()
    for case in CASES:
        report(engine, case, "float32")
        report(engine, case, "float64")
    for dtype in DTYPES:
        report(engine, RESNET, dtype)


def report(engine: CpuEngine, case: Case, dtype: str) -> None:
    generator = np.random.default_rng(0)
    tensors = {
        "input": random_array(generator, case.input_shape, dtype),
        "conv.weight": random_array(generator, case.weight_shape, dtype),
    }
    program = compile_network(Network([case.layer]), [spec_of(k, v) for k, v in tensors.items()])
    outputs = {"conv": empty(program.steps[0].output)}
    times = []
    for _ in range(REPEATS):
        start = perf_counter()
        (record,) = engine.run(program, tensors, outputs)
        times.append(perf_counter() - start)
    read = case.input_shape if isinstance(case.layer, ConvTranspose) else outputs["conv"].shape
    products = math.prod(read) * math.prod(case.weight_shape[1:])
    rate = products * (8 if dtype.startswith("complex") else 2) / min(times) / 1e9
    first, second, best = times[0] * 1e3, times[1] * 1e3, min(times[2:]) * 1e3
    sys.stdout.write(
        f"{case.name:24} {dtype:10} {record.algorithm:12} first {first:7.2f} ms "
        f"second {second:7.2f} ms best {best:7.3f} ms {rate:6.1f} GFLOP/s\n"
    )


def random_array(generator: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    return (generator.standard_normal(shape) * 3).astype(dtype_of(dtype))


if __name__ == "__main__":
    main()
