"""How many bytes the cpu engine needs beside a step's tensors, in exact integers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from convserve import layers
from convserve.layers.fields import Ints
from convserve.operations import ConvInputGradient, ConvWeightGradient
from convserve.tensors import TensorSpec, dtype_of

from convserve_server.engines.cpu.blocks import block_length, group_size
from convserve_server.engines.cpu.windows import RUN_BYTES, block_counts, pairs
from convserve_server.planning.equivalents import grouped
from convserve_server.planning.program import OperationStep, Step

_HALVES = ("float16", "bfloat16")


def compute_bytes(output: TensorSpec) -> int:
    """The size of an element in which sums for `output` are made; 8 for integers."""
    dtype = dtype_of(output.dtype)
    return 8 if dtype.kind in "iub" else max(4, dtype.itemsize)


def block_bytes(positions: Ints, position_bytes: int, threads: int, extra_bytes: int = 0) -> int:
    """A block of columns, and `extra_bytes` more per position, for every thread that has one."""
    counts = block_counts(positions, position_bytes, threads)
    split = zip(positions, counts, strict=True)
    busy = min(threads, math.prod(-(-size // count) for size, count in split))
    return busy * math.prod(counts) * (position_bytes + extra_bytes)


def conv_bytes(step: Step, layer: layers.Conv, threads: int) -> int:
    """A block of columns, its product where BLAS cannot write the result, a converted weight."""
    size, output = compute_bytes(step.output), step.output
    buffered = output.shape[1] * size if _converted(output, size) else 0
    depth = step.inputs[0].shape[1] * math.prod(layer.kernel_size)
    positions = (_batch(output), *output.shape[2:])
    columns = block_bytes(positions, depth * size, threads, buffered)
    return columns + _converted(step.parameters[0], size) + border_bytes(step, layer)


def border_bytes(step: Step, layer: layers.Conv) -> int:
    """The copy of the input with borders that are not zeros."""
    if layer.padding_mode == "zeros":
        return 0
    spec = step.inputs[0]
    sizes = zip(spec.shape[2:], pairs(layer.padding), strict=True)
    padded = math.prod(low + size + high for size, (low, high) in sizes)
    return _batch(spec) * spec.shape[1] * padded * dtype_of(spec.dtype).itemsize


def conv_transpose_bytes(step: Step, layer: layers.ConvTranspose, threads: int) -> int:
    """As `conv_bytes`, for the largest of the interleaved convolutions."""
    return _phase_bytes(step.inputs[0], step.parameters[0], step.output, layer.stride, threads)


def gradient_bytes(
    step: OperationStep, operation: ConvInputGradient | ConvWeightGradient, threads: int
) -> int:
    """A block of columns and what its product is added into."""
    first, second = step.operands
    if isinstance(operation, ConvInputGradient):
        return _phase_bytes(first, second, step.output, operation.stride, threads)
    size = compute_bytes(step.output)
    depth = first.shape[1] * math.prod(operation.kernel_size)
    positions = (_batch(second), *second.shape[2:])
    columns = block_bytes(positions, depth * size, threads, second.shape[1] * size)
    return columns + threads * step.output.element_count * (size + max(8, size))


def transposed_column_bytes(step: Step, layer: layers.ConvTranspose) -> int:
    """The columns that ONNX Runtime makes of one whole sample, in float32."""
    per_position = math.prod(step.parameters[0].shape[1:]) * layer.groups
    return 4 * per_position * math.prod(step.inputs[0].shape[2:])


def dense_bytes(step: Step) -> int:
    """Copies of what is not of the type in which the product is made, and the product."""
    size = compute_bytes(step.output)
    return sum(_converted(spec, size) for spec in (*step.inputs, *step.parameters, step.output))


def pool_bytes(step: Step) -> int:
    """A run of channels, partly reduced, before and after an axis; at least one whole channel."""
    sizes, reduced = step.inputs[0].shape[2:], step.output.shape[2:]
    mixed = (math.prod((*reduced[: i + 1], *sizes[i + 1 :])) for i in range(len(sizes)))
    return 2 * max(RUN_BYTES, max(mixed) * compute_bytes(step.output))


def fft_bytes(dtype: str, long: Ints, short: Ints) -> int:
    """A padded copy, the spectra and the full result: an estimate (16M float32 took 5.5 times)."""
    points = math.prod(n + m - 1 for n, m in zip(long, short, strict=True))
    return 6 * points * dtype_of(dtype).itemsize


def overlap_bytes(dtype: str, long: int, short: int, threads: int) -> int:
    """The result, and each thread's blocks, their spectra and what comes of them."""
    block = block_length(short, long + short - 1)
    samples = long + short + block + 3 * threads * group_size(block) * block
    return samples * dtype_of(dtype).itemsize


def float32_bytes(step: Step) -> int:
    """The float32 copies of inputs and output of another type."""
    specs = [spec for spec in (*step.inputs, step.output) if spec.dtype != "float32"]
    return sum(4 * math.prod((_batch(spec), *spec.shape[1:])) for spec in specs)


def scratch_bytes(step: Step) -> int:
    """What lies between the nodes of a layer that is several of them in ONNX, in float32."""
    layer, output = step.layer, step.output
    match layer:
        case layers.LocalResponseNorm():
            return 4 * 2 * _batch(output) * math.prod(output.shape[1:])
        case layers.GroupNorm() | layers.InstanceNorm():
            return 4 * _batch(output) * math.prod(output.shape[1:])
        case layers.GraphConv():
            features = min(step.inputs[0].shape[2], output.shape[2])
            return 4 * 2 * layer.filters * _batch(output) * output.shape[1] * features
        case layers.DeformConv():
            columns = step.inputs[0].shape[1] * math.prod(layer.kernel_size)
            return 4 * columns * math.prod(output.shape[2:])
    return 0


def quantized_bytes(
    step: Step, layer: layers.IntegerConv | layers.QuantizedConv, threads: int
) -> int:
    """Differences to the zero points in int16, blocks of columns, and one sample's sums twice."""
    differences = 2 * sum(
        _batch(spec) * math.prod(spec.shape[1:]) for spec in (step.inputs[0], step.parameters[0])
    )
    columns = conv_bytes(step, grouped(layer), threads)
    if isinstance(layer, layers.IntegerConv):
        return differences + columns
    return differences + columns + 2 * 8 * math.prod(step.output.shape[1:])


def fold_bytes(step: Step) -> int:
    """One sample's sums in float32, where halves are added."""
    adds_halves = isinstance(step.layer, layers.Fold) and step.output.dtype in _HALVES
    return 4 * math.prod(step.output.shape[1:]) if adds_halves else 0


def between_bytes(steps: Sequence[Step]) -> int:
    """The results of all steps but the last."""
    return sum(
        _batch(s.output) * s.output.byte_count // max(1, s.output.shape[0]) for s in steps[:-1]
    )


def _phase_bytes(
    x: TensorSpec, weight: TensorSpec, output: TensorSpec, stride: Ints, threads: int
) -> int:
    size = compute_bytes(output)
    taps = [-(-k // s) if s > 1 else k for k, s in zip(weight.shape[2:], stride, strict=True)]
    sizes = [-(-n // s) for n, s in zip(output.shape[2:], stride, strict=True)]
    depth = x.shape[1] * math.prod(taps)
    columns = block_bytes((_batch(x), *sizes), depth * size, threads, output.shape[1] * size)
    return columns + weight.element_count * size


def _converted(spec: TensorSpec, size: int) -> int:
    """The bytes of a copy with elements of `size`; none if they have that size already."""
    if dtype_of(spec.dtype).itemsize == size and dtype_of(spec.dtype).kind in "fc":
        return 0
    return math.prod((_batch(spec), *spec.shape[1:])) * size


def _batch(spec: TensorSpec) -> int:
    return 1 if spec.is_symbolic else spec.shape[0]
