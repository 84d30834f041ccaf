"""When the most memory is in use, by liveness over the execution order.

All weights stay. A network input lives until its last reader has run, a result until the end,
anything else from its step to that of its last reader; a step's inputs, output and workspace are
there at once. Allocators, libraries and the process itself are not counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import frozen

from convserve_server.planning.graph import Node, Sample
from convserve_server.planning.program import Advisor, OperationStep, Program, Step, Work


@frozen
class Peak:
    """The moment with the most bytes: during `layer`."""

    layer: str
    weight_bytes: int
    workspace_bytes: int
    sample_bytes: int
    batch: int

    @property
    def fixed_bytes(self) -> int:
        """Bytes that do not grow with the batch."""
        return self.weight_bytes + self.workspace_bytes

    @property
    def byte_count(self) -> int:
        """All of them."""
        return self.fixed_bytes + self.batch * self.sample_bytes


def find_peak(
    nodes: Sequence[Node],
    inputs: Mapping[str, Sample],
    outputs: Iterable[str],
    workspaces: Sequence[int],
    batch: int,
) -> Peak:
    """The first peak of `nodes` in execution order, with the workspace of each in bytes."""
    weight_bytes = sum(node.weight_bytes for node in nodes)
    sizes = {name: sample.byte_count for name, sample in inputs.items()}
    sizes |= {node.output.name: node.output.byte_count for node in nodes}
    moments = (
        Peak(node.output.name, weight_bytes, workspace, live, batch)
        for node, workspace, live in zip(
            nodes, workspaces, _live_bytes(nodes, sizes, frozenset(outputs)), strict=True
        )
    )
    return max(moments, key=lambda moment: moment.byte_count)


def working_bytes(work: Work, advisor: Advisor) -> int:
    """The most bytes that the work needs at once beside its inputs, weights and outputs.

    They are intermediate results and the workspace that `advisor` tells of each step.
    """
    if isinstance(work, OperationStep):
        return advisor.advise(work).workspace_bytes
    live = _live_bytes(work.steps, _intermediate_sizes(work), frozenset(work.outputs))
    return max(
        size + advisor.advise(step).workspace_bytes
        for step, size in zip(work.steps, live, strict=True)
    )


def _intermediate_sizes(program: Program) -> dict[str, int]:
    """The bytes of each tensor that has no place before the program runs, and 0 for the others."""
    sizes = {spec.name: 0 for spec in program.inputs}
    sizes |= {step.output.name: step.output.byte_count for step in program.steps}
    return sizes | dict.fromkeys(program.outputs, 0)


def _live_bytes(
    steps: Sequence[Node | Step], sizes: Mapping[str, int], kept: Collection[str]
) -> list[int]:
    """The bytes alive during each step, where the tensors take `sizes` and `kept` ones stay."""
    expiring = _expiring(steps, kept)
    made = {step.output.name for step in steps}
    live = sum(size for name, size in sizes.items() if name not in made)
    alive = []
    for step, names in zip(steps, expiring, strict=True):
        live += sizes[step.output.name]
        alive.append(live)
        live -= sum(sizes[name] for name in names)
    return alive


def _expiring(steps: Sequence[Node | Step], kept: Collection[str]) -> list[list[str]]:
    """For each step, the tensors that nobody needs after it."""
    last = {step.output.name: index for index, step in enumerate(steps)}  # if nobody reads it
    for index, step in enumerate(steps):
        last.update((tensor.name, index) for tensor in step.inputs)
    expiring: list[list[str]] = [[] for _ in steps]
    for name, index in last.items():
        if name not in kept:
            expiring[index].append(name)
    return expiring
