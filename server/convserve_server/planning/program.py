"""What planning hands to the engines: work with every default and mode replaced by numbers.

An engine reads only this. It never sees a padding mode, an unnamed layer or a shape to infer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import msgspec
from attrs import frozen
from convserve.layers import Layer
from convserve.operations import Operation
from convserve.plans import Kernel, Quantization
from convserve.tensors import TensorSpec


@frozen
class Step:
    """One layer to run, resolved: one number per spatial axis, padding as (low, high) pairs.

    All specs are channels first and have a known batch. `inputs` name network inputs or earlier
    steps; `parameters` are `<layer>.weight` and so on, with the dtype in which they were sent;
    `output` is named after the layer. `ceil_mode` is already in the output's shape.
    """

    layer: Layer
    inputs: tuple[TensorSpec, ...]
    parameters: tuple[TensorSpec, ...]
    output: TensorSpec

    @property
    def weights(self) -> dict[str, TensorSpec]:
        """The parameters by what they are to the layer: `weight`, `bias` and so on."""
        return {spec.name.rpartition(".")[2]: spec for spec in self.parameters}


@frozen(cache_hash=True)
class Program:
    """A network to run: its steps in order. `outputs` name steps."""

    inputs: tuple[TensorSpec, ...]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]


@frozen
class OperationStep:
    """An operation to run, resolved. The output is called `output`."""

    operation: Operation
    operands: tuple[TensorSpec, TensorSpec]
    output: TensorSpec


Work: TypeAlias = Program | OperationStep


class Advice(msgspec.Struct, frozen=True):
    """Which engine and algorithm would run a step, what it needs meanwhile, and why.

    `caveat` says what is not exact about `workspace_bytes`; a plan notes it. `fused_into` names the
    step that takes this one along, so that its result is the other's. `remarks` are lines of
    the layer's explanation. On a GPU, `kernels` are the ways that its library offers, and
    `gradient_workspace_bytes` what the gradients need; `quantization` is of the matrix product.
    """

    engine: str
    algorithm: str
    workspace_bytes: int
    reason: str
    caveat: str = ""
    fused_into: str = ""
    kernels: tuple[Kernel, ...] = ()
    gradient_workspace_bytes: int = 0
    quantization: Quantization | None = None
    remarks: tuple[str, ...] = ()


@frozen
class Survey:
    """How an engine runs a program: an advice for each step, and what it holds beside the tensors.

    `resident_bytes` it keeps as long as the weights, such as its own form of them; `start_bytes` it
    takes once, before the first step, while it gets ready; `spare_bytes` are holes in the memory
    that it takes for tensors.
    """

    advices: tuple[Advice, ...]
    resident_bytes: int = 0
    start_bytes: int = 0
    spare_bytes: int = 0


class Advisor(Protocol):
    """What planning asks an engine about a step, without any array. Must not import CUDA."""

    def working_bytes(self, work: Work) -> int | None:
        """All that the work takes of the engine's own memory, where that is known exactly.

        None: as much as the advices for its steps come to (`memory.working_bytes`).
        """
        return None

    def survey(self, steps: Sequence[Step], outputs: Sequence[str]) -> Survey:
        """How the engine would run the steps one after the other, as one program."""
        return Survey(tuple(map(self.advise, steps)))

    def advise(self, step: Step | OperationStep) -> Advice:
        """How the engine would run the step."""
        ...


def work_outputs(work: Work) -> tuple[TensorSpec, ...]:
    """The tensors that the work returns."""
    if isinstance(work, OperationStep):
        return (work.output,)
    by_name = {step.output.name: step.output for step in work.steps}
    return tuple(by_name[name] for name in work.outputs)


def work_tensors(work: Work) -> tuple[TensorSpec, ...]:
    """The tensors that the work reads: operands, or inputs and then weights."""
    if isinstance(work, OperationStep):
        return work.operands
    return (*work.inputs, *work_parameters(work))


def work_parameters(work: Work) -> tuple[TensorSpec, ...]:
    """The weights that the work reads."""
    if isinstance(work, OperationStep):
        return ()
    return tuple(spec for step in work.steps for spec in step.parameters)
