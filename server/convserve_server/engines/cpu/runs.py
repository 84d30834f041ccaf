"""Neighbouring steps that ONNX Runtime runs in one session: which, in what layout and order, and
which of them it makes one of. Decided here for plans and for runs alike, without any array.

Nothing is computed in the place of an input: sizes are symbolic in its graphs, so that it cannot
tell that a result is as large.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from heapq import heappop, heappush

from convserve import layers
from convserve.layers import Layer
from convserve.tensors import TensorSpec

from convserve_server.planning.program import Advice, Step

# ONNX Runtime's blocked layout (16 channels side by side) is up to 2.7 times as fast while
# activations fit the caches, but takes their memory again and fills channels up to 16. Measured on
# two cores, ms blocked | plain: depthwise 64 @112 0.24 | 0.56, @320 4.6 | 5.5, @512 51 | 16 (and
# 128 MiB more); 3x3 64->64 @56 1.05 | 1.23, @512 236 | 117; one channel of 4096 x 4096 379 | 16
# (and 1 GiB more).
BLOCKED_BYTES = 16 << 20
BLOCK_CHANNELS = 16

# What ONNX Runtime computes on a convolution's or a product's result before it stores it.
_FOLLOWS: dict[type[Layer], tuple[type[Layer], ...]] = {
    layers.Conv: (
        *(layers.BatchNorm, layers.ReLU, layers.ReLU6, layers.LeakyReLU),
        *(layers.Sigmoid, layers.Tanh, layers.HardSigmoid),
    ),
    layers.Dense: (layers.ReLU, layers.LeakyReLU, layers.Sigmoid, layers.Tanh),
}
_KEEPS_BLOCKS = (
    *(layers.BatchNorm, layers.ReLU, layers.ReLU6, layers.LeakyReLU, layers.Sigmoid, layers.Tanh),
    *(layers.Add, layers.MaxPool, layers.AvgPool, layers.GlobalAvgPool, layers.GlobalMaxPool),
)


def is_alone(advice: Advice) -> bool:
    """Whether a step runs without ONNX Runtime."""
    return advice.algorithm != "onnxruntime"


def split_runs(advised: Sequence[tuple[Step, Advice]]) -> list[list[tuple[Step, Advice]]]:
    """Neighbours for ONNX Runtime together, every other step alone."""
    runs: list[list[tuple[Step, Advice]]] = []
    for pair in advised:
        if runs and not is_alone(pair[1]) and not is_alone(runs[-1][-1][1]):
            runs[-1].append(pair)
        else:
            runs.append([pair])
    return runs


def fits_blocks(steps: Sequence[Step]) -> bool:
    """Whether the blocked layout pays: small activations, and most work in wide convolutions."""
    specs = {spec.name: spec for step in steps for spec in (*step.inputs, step.output)}
    largest = max(map(_blocked_bytes, specs.values()))
    convs = [step for step in steps if isinstance(step.layer, layers.Conv)]
    work = {step.output.name: multiplications(step) for step in convs}
    wide = [step.output.name for step in convs if 2 * step.output.shape[1] >= BLOCK_CHANNELS]
    return largest <= BLOCKED_BYTES and 2 * sum(work[n] for n in wide) >= sum(work.values())


def multiplications(step: Step) -> int:
    """About how many there are; of a layer without a kernel, one for each element."""
    kernel = step.parameters[0].shape[1:] if step.parameters else ()
    return step.output.element_count * math.prod(kernel)


def weight_bytes(steps: Sequence[Step]) -> int:
    """The bytes of all weights of the steps."""
    return sum(spec.byte_count for step in steps for spec in step.parameters)


def find_hosts(
    steps: Sequence[Step], kept: Collection[str], *, constant: bool
) -> Mapping[str, str]:
    """Steps that another one takes along, by its name: nothing is stored between the two.

    They are alone to read a result that is not among the `kept` ones. Batch norms need `constant`
    weights to be folded into others; Flatten only sees the same values under another shape.
    """
    readers = Counter(spec.name for step in steps for spec in step.inputs)
    by_name = {step.output.name: step for step in steps}
    hosts: dict[str, str] = {}
    for step in steps:
        source = by_name.get(step.inputs[0].name)
        if source is None or readers[source.output.name] > 1 or source.output.name in kept:
            continue
        host = by_name[hosts.get(source.output.name, source.output.name)]
        if _takes_along(host, source, step, constant):
            hosts[step.output.name] = host.output.name
    return hosts


def session_order(steps: Sequence[Step], hosts: Mapping[str, str]) -> tuple[Step, ...]:
    """The steps as a session runs them: of those that may be next, first what was not fused.

    ONNX Runtime takes the node with the lowest number, and the nodes that it makes come last. A
    batch norm that is folded makes none.
    """
    folded = {step.output.name for step in steps if isinstance(step.layer, layers.BatchNorm)}
    fused = {host for name, host in hosts.items() if name not in folded}
    made = {step.output.name: index for index, step in enumerate(steps)}
    readers: list[list[int]] = [[] for _ in steps]
    waiting = [0] * len(steps)
    for index, step in enumerate(steps):
        for source in {made[spec.name] for spec in step.inputs if spec.name in made}:
            readers[source].append(index)
            waiting[index] += 1
    ready = sorted((steps[i].output.name in fused, i) for i, n in enumerate(waiting) if not n)
    ordered = []
    while ready:  # what is sorted is a heap
        _, index = heappop(ready)
        ordered.append(steps[index])
        for reader in readers[index]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heappush(ready, (steps[reader].output.name in fused, reader))
    return tuple(ordered)


def reordered_bytes(steps: Sequence[Step], kept: Collection[str]) -> dict[str, int]:
    """What each step of a run in the blocked layout copies from one layout to the other.

    A result in blocks is copied at once if anybody reads it plain, as who reads `kept` ones does; a
    plain one is copied by each step that needs blocks.
    """
    blocked = {step.output.name for step in steps if _makes_blocks(step)}
    needed_plain = set(kept)
    copies = {step.output.name: 0 for step in steps}
    for step in steps:
        names = [spec.name for spec in step.inputs]
        if step.output.name not in blocked:
            needed_plain.update(names)
        elif not _reads_plain(step):
            copied = (spec for spec in step.inputs if spec.name not in blocked)
            copies[step.output.name] += sum(map(_blocked_bytes, copied))
    for step in steps:
        if step.output.name in blocked & needed_plain:
            copies[step.output.name] += _blocked_bytes(step.output)
    return copies


def unrolled_bytes(step: Step) -> int:
    """The columns of one sample that a plain convolution makes where its result is small.

    Larger results are computed in blocks of some 64 KiB (MlasConvPrepare of ONNX Runtime).
    """
    layer = step.layer
    if not isinstance(layer, layers.Conv) or math.prod(layer.kernel_size) == 1:
        return 0
    positions = math.prod(step.output.shape[2:])
    if step.output.shape[1] // layer.groups <= positions:
        return 0
    return 4 * positions * math.prod(step.parameters[0].shape[1:])


def _takes_along(host: Step, source: Step, step: Step, constant: bool) -> bool:
    if isinstance(step.layer, layers.Flatten):
        return True
    if {step.output.dtype, host.output.dtype} != {"float32"}:  # casts lie between them
        return False
    follows = isinstance(step.layer, _FOLLOWS.get(type(host.layer), ()))
    if isinstance(step.layer, layers.BatchNorm):
        return follows and constant and source is host
    # one function of the elements, after a batch norm that was folded or none
    return follows and (source is host or isinstance(source.layer, layers.BatchNorm))


def _makes_blocks(step: Step) -> bool:
    if len(step.output.shape) != 4:
        return False
    if isinstance(step.layer, layers.Conv):
        return step.layer.groups in (1, step.inputs[0].shape[1])
    return isinstance(step.layer, _KEEPS_BLOCKS)


def _reads_plain(step: Step) -> bool:
    """Whether it makes blocks of a plain input, as convolutions do of pictures."""
    return isinstance(step.layer, layers.Conv) and step.inputs[0].shape[1] < BLOCK_CHANNELS


def _blocked_bytes(spec: TensorSpec) -> int:
    """The bytes of an activation in float32 with its channels filled up to whole blocks."""
    batch, channels, *sizes = spec.shape
    return 4 * batch * math.prod(sizes) * (-(-channels // BLOCK_CHANNELS) * BLOCK_CHANNELS)
