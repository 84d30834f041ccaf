"""A program cut into stages: runs of steps for ONNX Runtime, and single steps for the rest."""

from __future__ import annotations

from attrs import frozen
from convserve.tensors import TensorSpec

from convserve_server.engines.cpu.advice import CpuAdvisor
from convserve_server.engines.cpu.footprint import Run, arena_bytes, find_runs
from convserve_server.engines.cpu.graph import Graph, build_graph
from convserve_server.engines.cpu.runs import multiplications
from convserve_server.engines.expansion import expand
from convserve_server.planning.program import Advice, Program, Step

# Up to here a second thread costs more than it saves, by the time in which it wakes up. Measured on
# two cores, us with one thread | with two: 0.2 million multiplications 38 | 54, 2 million 120 |
# 158, 7 million 380 | 311.
SMALL_MULTIPLICATIONS = 4 << 20


@frozen
class Stage:
    """Consecutive steps that run together, with one advice.

    `outputs` are what others read; `finished` names what nobody reads afterwards. `graph` is there
    if ONNX Runtime runs them, in its blocked layout or not; on one thread if they are `small`. Its
    arena needs about `arena_bytes` for that.
    """

    steps: tuple[Step, ...]
    advice: Advice
    outputs: tuple[TensorSpec, ...]
    finished: tuple[str, ...] = ()
    graph: Graph | None = None
    blocked: bool = False
    small: bool = False
    arena_bytes: int = 0


def make_stages(program: Program, advisor: CpuAdvisor, *, fft: bool = True) -> tuple[Stage, ...]:
    """The stages of a program, in order; without `fft`, for values that an FFT would spoil.

    Layers that are made of others are those here.
    """
    steps = expand(program).steps
    advised = [(step, advisor.advise(step, fft=fft)) for step in steps]
    stages: list[Stage] = []
    needed = set(program.outputs)
    for run in reversed(find_runs(advised, program.outputs)):
        touched = {spec.name for step in run.steps for spec in (*step.inputs, step.output)}
        inner = {step.output.name for step in run.steps} - run.kept
        stages.append(_make_stage(run, tuple(sorted(touched - needed - inner))))
        needed |= {spec.name for step in run.steps for spec in step.inputs}
    return tuple(reversed(stages))


def _make_stage(run: Run, finished: tuple[str, ...]) -> Stage:
    outputs = tuple(step.output for step in run.steps if step.output.name in run.kept)
    if run.is_alone or not outputs:
        return Stage(run.steps, run.advices[0], outputs, finished)
    return Stage(
        run.steps,
        run.advices[0],
        outputs,
        finished,
        graph=build_graph(run.steps, outputs),
        blocked=run.blocked,
        small=sum(map(multiplications, run.steps)) <= SMALL_MULTIPLICATIONS,
        arena_bytes=arena_bytes([run])[0],
    )
