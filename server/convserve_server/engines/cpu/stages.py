"""A program cut into stages: runs of steps for ONNX Runtime, and single steps for the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import frozen
from convserve import layers
from convserve.tensors import TensorSpec

from convserve_server.engines.cpu.advice import CpuAdvisor
from convserve_server.engines.cpu.graph import Graph, build_graph
from convserve_server.planning.program import Advice, Program, Step

# ONNX Runtime's blocked layout (16 channels side by side) is up to 2.7 times as fast while
# activations fit the caches, but takes their memory again and fills channels up to 16. Measured on
# two cores, ms blocked | plain: depthwise 64 @112 0.24 | 0.56, @320 4.6 | 5.5, @512 51 | 16 (and
# 128 MiB more); 3x3 64->64 @56 1.05 | 1.23, @512 236 | 117; one channel of 4096 x 4096 379 | 16
# (and 1 GiB more).
BLOCKED_BYTES = 16 << 20
BLOCK_CHANNELS = 16
# Up to here a second thread costs more than it saves, by the time in which it wakes up. Measured on
# two cores, us with one thread | with two: 0.2 million multiplications 38 | 54, 2 million 120 |
# 158, 7 million 380 | 311.
SMALL_MULTIPLICATIONS = 4 << 20


@frozen
class Stage:
    """Consecutive steps that run together, with one advice.

    `outputs` are what others read; `finished` names what nobody reads afterwards. `graph` is there
    if ONNX Runtime runs them, in its blocked layout or not; on one thread if they are `small`.
    """

    steps: tuple[Step, ...]
    advice: Advice
    outputs: tuple[TensorSpec, ...]
    finished: tuple[str, ...] = ()
    graph: Graph | None = None
    blocked: bool = False
    small: bool = False


def make_stages(program: Program, advisor: CpuAdvisor, *, fft: bool = True) -> tuple[Stage, ...]:
    """The stages of a program, in order; without `fft`, for values that an FFT would spoil."""
    advised = [(step, advisor.advise(step, fft=fft)) for step in program.steps]
    stages: list[Stage] = []
    needed = set(program.outputs)
    for run in reversed(_split(advised)):
        steps = tuple(step for step, _ in run)
        touched = {spec.name for step in steps for spec in (*step.inputs, step.output)}
        outputs = tuple(step.output for step in steps if step.output.name in needed)
        inner = {step.output.name for step in steps} - {spec.name for spec in outputs}
        finished = tuple(sorted(touched - needed - inner))
        stages.append(_make_stage(steps, outputs, run[0][1], finished))
        needed |= {spec.name for step in steps for spec in step.inputs}
    return tuple(reversed(stages))


def _make_stage(
    steps: tuple[Step, ...],
    outputs: tuple[TensorSpec, ...],
    advice: Advice,
    finished: tuple[str, ...],
) -> Stage:
    if _is_alone(advice) or not outputs:
        return Stage(steps, advice, outputs, finished)
    graph = build_graph(steps, outputs)
    small = sum(map(_multiplications, steps)) <= SMALL_MULTIPLICATIONS
    return Stage(steps, advice, outputs, finished, graph, _fits_blocks(steps), small)


def _split(advised: Sequence[tuple[Step, Advice]]) -> list[list[tuple[Step, Advice]]]:
    """Neighbours for ONNX Runtime together, every other step alone."""
    runs: list[list[tuple[Step, Advice]]] = []
    for pair in advised:
        if runs and not _is_alone(pair[1]) and not _is_alone(runs[-1][-1][1]):
            runs[-1].append(pair)
        else:
            runs.append([pair])
    return runs


def _is_alone(advice: Advice) -> bool:
    return advice.algorithm != "onnxruntime"


def _fits_blocks(steps: Sequence[Step]) -> bool:
    """Whether the blocked layout pays: small activations, and most work in wide convolutions."""
    largest = max(_blocked_bytes(spec) for step in steps for spec in (*step.inputs, step.output))
    convs = [step for step in steps if isinstance(step.layer, layers.Conv)]
    work = {step.output.name: _multiplications(step) for step in convs}
    wide = [step.output.name for step in convs if 2 * step.output.shape[1] >= BLOCK_CHANNELS]
    return largest <= BLOCKED_BYTES and 2 * sum(work[n] for n in wide) >= sum(work.values())


def _blocked_bytes(spec: TensorSpec) -> int:
    """The bytes of an activation in float32 with its channels filled up to whole blocks."""
    batch, channels, *sizes = spec.shape
    return 4 * batch * math.prod(sizes) * (-(-channels // BLOCK_CHANNELS) * BLOCK_CHANNELS)


def _multiplications(step: Step) -> int:
    """About how many there are; of a layer without a kernel, one for each element."""
    kernel = step.parameters[0].shape[1:] if step.parameters else ()
    return step.output.element_count * math.prod(kernel)
