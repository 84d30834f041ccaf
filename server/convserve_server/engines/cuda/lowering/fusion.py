"""Which steps are computed in one go: a convolution, and what is done to its result at once.

Only where nobody else reads what lies between them, and where all of it has one floating type. The
sum with another value takes place where both are there, so a run stands where its last step stood.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from attrs import evolve, frozen
from convserve.layers import Add, BatchNorm, Conv, ConvTranspose, Dense, SeparableConv
from convserve.tensors import TensorSpec

from convserve_server.engines.cuda.kernels.table import FLOATS, HALVES
from convserve_server.engines.cuda.lowering.activation import (
    NO_ACTIVATION,
    Activation,
    activation_of,
)
from convserve_server.engines.expansion import owner, steps_of
from convserve_server.planning.program import Program, Step

HEADS = (Conv, ConvTranspose, Dense)


@frozen
class Run:
    """A step, and those that are computed along with it if it is a convolution: in this order."""

    head: Step
    norm: Step | None = None
    add: Step | None = None
    activation: Step | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """All of them."""
        every = (self.head, self.norm, self.add, self.activation)
        return tuple(step for step in every if step is not None)

    @property
    def output(self) -> TensorSpec:
        """What is left of them: the last one's result."""
        return (self.activation or self.add or self.norm or self.head).output

    @property
    def residual(self) -> TensorSpec | None:
        """What is added to the convolution's result."""
        if self.add is None:
            return None
        own = (self.norm or self.head).output.name
        return next(spec for spec in self.add.inputs if spec.name != own)

    @property
    def function(self) -> Activation:
        """The activation at the end."""
        found = self.activation and activation_of(self.activation.layer)
        return found or NO_ACTIVATION


def find_runs(program: Program) -> tuple[Run, ...]:
    """The program's steps, each once, in an order in which they can be computed."""
    steps = tuple(part for step in program.steps for part in _parts_of(step))
    followers = _Followers(steps, program.outputs)
    taken: set[str] = set()
    runs: dict[str, Run] = {}  # by the name of the last step
    for step in steps:
        if step.output.name not in taken:
            run = followers.run_from(step, taken)
            taken.update(each.output.name for each in run.steps)
            runs[run.output.name] = run
    return tuple(runs[step.output.name] for step in steps if step.output.name in runs)


def _parts_of(step: Step) -> tuple[Step, ...]:
    """The plain steps that a step is made of.

    Between the two of a separable convolution of halves lie halves, as between other layers: cuDNN
    is several times as fast on them as on float32.
    """
    parts = steps_of(step)
    if isinstance(step.layer, SeparableConv) and step.output.dtype in HALVES:
        first, second = parts
        middle = evolve(first.output, dtype=step.output.dtype)
        return evolve(first, output=middle), evolve(second, inputs=(middle,))
    return parts


def layer_name(step: Step) -> str:
    """The layer that a plain step belongs to."""
    return owner(step.output.name)


class _Followers:
    """Who reads what in a program."""

    def __init__(self, steps: Sequence[Step], outputs: Sequence[str]) -> None:
        self._readers = Counter(spec.name for step in steps for spec in step.inputs)
        self._by_input = {spec.name: step for step in steps for spec in step.inputs}
        self._outputs = frozenset(outputs)

    def run_from(self, step: Step, taken: set[str]) -> Run:
        """The longest run that begins with a step, without those that are `taken`."""
        run = Run(step)
        if not isinstance(step.layer, HEADS) or step.output.dtype not in FLOATS:
            return run
        while (longer := self._lengthen(run, taken)) is not None:
            run = longer
        return run

    def _lengthen(self, run: Run, taken: set[str]) -> Run | None:
        """The run with its only reader, if that can be computed along with it."""
        step = self._only_reader(run.output)
        if step is None or step.output.name in taken or run.activation is not None:
            return None
        if (step.output.dtype, step.output.shape) != (run.output.dtype, run.output.shape):
            return None
        if isinstance(step.layer, BatchNorm) and run.norm is None and run.add is None:
            return evolve(run, norm=step) if _scales_its_outputs(run.head) else None
        if isinstance(step.layer, Add) and run.add is None:
            return evolve(run, add=step) if _adds_another(step, run.output) else None
        return evolve(run, activation=step) if activation_of(step.layer) else None

    def _only_reader(self, value: TensorSpec) -> Step | None:
        if value.name in self._outputs or self._readers[value.name] != 1:
            return None
        return self._by_input[value.name]


def _scales_its_outputs(head: Step) -> bool:
    """Whether axis 1 of the result, which a normalisation scales, is that of its weights."""
    return not isinstance(head.layer, Dense) or len(head.output.shape) == 2


def _adds_another(step: Step, value: TensorSpec) -> bool:
    """Whether a sum is that of `value` and one other of its type and shape."""
    return len(step.inputs) == 2 and all(
        (spec.dtype, spec.shape) == (value.dtype, value.shape) for spec in step.inputs
    )
