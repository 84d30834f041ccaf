"""What emitters work with: the values so far, new buffers, and the commands that they give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeAlias

from convserve.operations import operation_kind
from convserve.runs import StepRecord
from convserve.tensors import Shape, TensorSpec

from convserve_server.engines.cuda.graphs import ConvGraph, Prepared
from convserve_server.engines.cuda.kernels import MAX_RANK, instance_of
from convserve_server.engines.cuda.recipe import (
    Argument,
    Check,
    Choice,
    Command,
    Launch,
    OnHost,
)
from convserve_server.engines.cuda.views import View, collapse, new_view
from convserve_server.planning.program import OperationStep, Program, Step, work_tensors

ENGINE = "cuda"  # in records


class Plans(Protocol):
    """What cuDNN has for one GPU, under one policy."""

    @property
    def workspace_limit_bytes(self) -> int:
        """What no plan's workspace is above."""
        ...

    def find(self, graph: ConvGraph) -> Prepared | None:
        """Its plan for a graph, or its failure; None if it has not been asked yet."""
        ...


class Builder:
    """A recipe in the making. Values are known by the names of the tensors in the program.

    Emitters read `value` and `weight`, and either `bind` the step's result to a view of something
    that is there, or fill what `result` gives. Commands inside `preparation` read weights alone.
    """

    def __init__(self, plans: Plans, *, fft: bool = True) -> None:
        self.plans = plans
        self.fft = fft  # whether Fourier transforms may be used
        self.buffers: dict[str, int] = {}
        self.commands: list[Command] = []
        self.prepared: list[Command] = []
        self.records: list[StepRecord] = []
        self.checks: list[Check] = []
        self.choices: list[Choice] = []
        self._given = self.commands
        self._values: dict[str, View] = {}

    def value(self, name: str) -> View:
        """Where a tensor lies."""
        return self._values[name]

    def inputs_of(self, step: Step) -> list[View]:
        """Where the step's inputs lie."""
        return [self._values[spec.name] for spec in step.inputs]

    def weights_of(self, step: Step) -> dict[str, View]:
        """Where its weights lie, by role: contiguous, as they were sent."""
        return {role: self._values[spec.name] for role, spec in step.weights.items()}

    def bind(self, name: str, view: View) -> None:
        """Say where a tensor lies."""
        self._values[name] = view

    def new(self, dtype: str, shape: Shape, *, last: bool = True) -> View:
        """A new buffer; with the channels last if it has spatial axes, unless they are not."""
        view = new_view(f"b{len(self.buffers)}", dtype, shape, last=last)
        self.buffers[view.buffer] = view.byte_count
        return view

    def result(self, spec: TensorSpec, *, last: bool = True) -> View:
        """A new buffer for a step's output, bound to its name."""
        view = self.new(spec.dtype, spec.shape, last=last)
        self.bind(spec.name, view)
        return view

    def give(self, command: Command) -> None:
        """Another command, behind those before it."""
        self._given.append(command)

    def launch(self, name: str, types: Sequence[str], *arguments: Argument, count: int) -> None:
        """A kernel of the table, for `count` indices. Views are of `MAX_RANK` axes at most."""
        if count:
            self.give(Launch(instance_of(name, *types), arguments, count))

    @contextmanager
    def preparation(self) -> Iterator[None]:
        """Commands of this block are given once for weights that stay."""
        before, self._given = self._given, self.prepared
        try:
            yield
        finally:
            self._given = before

    def copy(self, target: View, source: View) -> None:
        """Copy element by element, converted to the target's type. Both have one shape."""
        target, source = collapse(target, source)
        if len(target.shape) > MAX_RANK:
            raise ValueError(f"a copy over {len(target.shape)} axes that do not merge")
        self.launch(
            "Copy", (target.dtype, source.dtype), target, source, count=target.element_count
        )

    def constant(self, dtype: str, value: float, shape: Shape) -> View:
        """A tensor of one number everywhere, that stays."""
        with self.preparation():
            view = self.new(dtype, (1,))
            self.fill(view, value)
        return view.expanded(shape)

    def fill(self, target: View, value: float) -> None:
        """Set every element."""
        (target,) = collapse(target)
        self.launch("Fill", (target.dtype,), target, float(value), count=target.element_count)

    def channels_last(self, view: View, dtype: str | None = None) -> View:
        """The same values with the channels last, and of a dtype: a copy where they are not."""
        return self._laid_out(view, dtype or view.dtype, last=True)

    def contiguous(self, view: View, dtype: str | None = None) -> View:
        """The same values in their logical order, and of a dtype: a copy where they are not."""
        return self._laid_out(view, dtype or view.dtype, last=False)

    def cast(self, view: View, dtype: str) -> View:
        """The same values of a dtype, wherever they lie."""
        return view if view.dtype == dtype else self._laid_out(view, dtype, last=True)

    def record(self, step: Step | OperationStep, algorithm: str, engine: str = ENGINE) -> None:
        """Say how a step is computed."""
        name = step.output.name if isinstance(step, Step) else operation_kind(step.operation)
        self.records.append(StepRecord(name=name, engine=engine, algorithm=algorithm))

    def on_host(self, step: Step | OperationStep) -> None:
        """Have the reference engine compute a step."""
        work = _alone(step) if isinstance(step, Step) else step
        tensors = tuple(self.contiguous(self._values[spec.name]) for spec in work_tensors(work))
        output = self.result(step.output, last=False)
        self.give(OnHost(work, tensors, output))
        self.record(step, "numpy", engine="reference")

    def _laid_out(self, view: View, dtype: str, *, last: bool) -> View:
        is_there = view.is_channels_last if last else view.is_contiguous
        if is_there and view.dtype == dtype:
            return view
        made = self.new(dtype, view.shape, last=last)
        self.copy(made, view)
        return made


def _alone(step: Step) -> Program:
    return Program(step.inputs, (step,), (step.output.name,))


# Gives the commands of one step, binds its output, and records its algorithm.
Emitter: TypeAlias = Callable[[Builder, Step], None]
OperationEmitter: TypeAlias = Callable[[Builder, OperationStep], None]
