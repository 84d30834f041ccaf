"""What a device carries out: commands on buffers. Pure data, made without any GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from attrs import field, frozen
from convserve.plans import Kernel
from convserve.runs import StepRecord

from convserve_server.engines.cuda.graphs import ConvGraph
from convserve_server.engines.cuda.views import View
from convserve_server.planning.program import OperationStep, Program

Argument: TypeAlias = View | int | float


@frozen
class Instance:
    """One of our kernels for certain element types: a struct template of `kernels/<file>.cuh`.

    `types` are dtype names, in the order of the template's parameters.
    """

    file: str
    struct: str
    types: tuple[str, ...]


@frozen
class Launch:
    """Run a kernel for each index from 0 to `count`. `arguments` are its struct's members."""

    instance: Instance
    arguments: tuple[Argument, ...]
    count: int


@frozen
class Convolve:
    """Run a graph of cuDNN. `operands` are by their roles in it (`graphs.ROLES`)."""

    graph: ConvGraph
    operands: Mapping[str, View]
    workspace: View | None = None


@frozen
class Transform:
    """A fast Fourier transform along the last `axes` axes, of every row before them.

    `kind` is `r2c`, `c2r` or `c2c`. Both views are contiguous. Not scaled, in either direction.
    """

    kind: str
    axes: int
    source: View
    target: View
    workspace: View
    inverse: bool = False


@frozen
class OnHost:
    """What the reference engine computes: a step that the device has no kernel for.

    All views are contiguous; `tensors` are in the order of `work_tensors`.
    """

    work: Program | OperationStep
    tensors: tuple[View, ...]
    output: View


Command: TypeAlias = Launch | Convolve | Transform | OnHost


@frozen
class Check:
    """What must hold of values that a recipe computes, or its results do not count.

    For the kinds, see `checks.py`. `values` are small, and contiguous.
    """

    kind: str
    values: tuple[View, ...]
    dtype: str
    field: str
    limit: int = 0


@frozen
class Choice:
    """Why something is computed as it is: for plans, with what else there was.

    `wants_tiles` if it is only because an image is too large for what is faster.
    """

    reason: str
    kernels: tuple[Kernel, ...] = ()
    wants_tiles: bool = False


@frozen
class Stretch:
    """The commands from `start` up to `stop`, and the layers that they compute."""

    layers: tuple[str, ...]
    start: int
    stop: int
    choices: tuple[Choice, ...] = ()


@frozen
class Recipe:
    """How some work is computed, for inputs and outputs that lie in memory in a certain order.

    `inputs`, `weights` and `outputs` are the tensors by name as they are copied from and to the
    host. `preparation` reads nothing but weights; what it makes may be kept as long as they are.
    `stretches` are what plans tell of; commands between them bring results to their places.
    """

    inputs: Mapping[str, View]
    weights: Mapping[str, View]
    outputs: Mapping[str, View]
    buffers: Mapping[str, int] = field(repr=False)  # name -> bytes
    preparation: tuple[Command, ...]
    commands: tuple[Command, ...]
    records: tuple[StepRecord, ...]
    checks: tuple[Check, ...] = ()
    stretches: tuple[Stretch, ...] = field(default=(), repr=False)

    @property
    def graphs(self) -> Iterator[ConvGraph]:
        """What cuDNN must be asked for; may repeat."""
        return (c.graph for c in self._all() if isinstance(c, Convolve))

    @property
    def instances(self) -> Iterator[Instance]:
        """The kernels that must be compiled; may repeat."""
        return (c.instance for c in self._all() if isinstance(c, Launch))

    def _all(self) -> Iterator[Command]:
        yield from self.preparation
        yield from self.commands


def touched(command: Command) -> tuple[View, ...]:
    """The views that a command reads or writes."""
    match command:
        case Launch():
            return tuple(each for each in command.arguments if isinstance(each, View))
        case Convolve():
            extra = () if command.workspace is None else (command.workspace,)
            return (*command.operands.values(), *extra)
        case Transform():
            return (command.source, command.target, command.workspace)
        case OnHost():
            return (*command.tensors, command.output)
