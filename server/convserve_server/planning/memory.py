"""The memory in use, step by step, by liveness over the execution order.

All weights stay. A network input lives until its last reader has run, a result until the end,
anything else from its step to that of its last reader; a step's inputs, output and workspace are
there at once. A step that another one takes along (`Advice.fused_into`) has no result of its own.
Allocators, libraries and the process itself are not counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
from convserve.plans import MemoryMoment

from convserve_server.planning.graph import Node, Sample
from convserve_server.planning.program import Advice, Advisor, OperationStep, Program, Work


class Visit(msgspec.Struct, frozen=True):
    """One step as the engine takes it: the tensors that it reads, and the one that it makes."""

    name: str
    reads: tuple[str, ...]
    makes: str


class Moment(msgspec.Struct, frozen=True):
    """The bytes in use during one step; `sample_bytes` and `gradient_sample_bytes` per sample."""

    layer: str
    phase: str = "forward"
    weight_bytes: int = 0
    sample_bytes: int = 0
    kept_bytes: int = 0  # for backward, and the same for any batch
    gradient_bytes: int = 0
    gradient_sample_bytes: int = 0
    optimizer_bytes: int = 0
    workspace_bytes: int = 0

    @property
    def per_sample_bytes(self) -> int:
        """Bytes that each sample adds."""
        return self.sample_bytes + self.gradient_sample_bytes

    @property
    def fixed_bytes(self) -> int:
        """Bytes that do not grow with the batch."""
        own = self.weight_bytes + self.kept_bytes + self.gradient_bytes + self.optimizer_bytes
        return own + self.workspace_bytes

    def byte_count(self, batch: int) -> int:
        """All of them."""
        return self.fixed_bytes + batch * self.per_sample_bytes

    def at(self, batch: int) -> MemoryMoment:
        """The moment as a plan tells it."""
        return MemoryMoment(
            layer=self.layer,
            phase=self.phase,
            weight_bytes=self.weight_bytes,
            activation_bytes=self.kept_bytes + batch * self.sample_bytes,
            gradient_bytes=self.gradient_bytes + batch * self.gradient_sample_bytes,
            optimizer_bytes=self.optimizer_bytes,
            workspace_bytes=self.workspace_bytes,
        )


def inference_moments(
    nodes: Sequence[Node],
    inputs: Mapping[str, Sample],
    outputs: Collection[str],
    advices: Sequence[Advice],
) -> tuple[Moment, ...]:
    """The moments of one run, in execution order: one for each step that is not taken along."""
    weight_bytes = sum(node.weight_bytes for node in nodes)
    visits, workspaces = _visits(nodes, advices)
    live = live_bytes(visits, sample_sizes(nodes, inputs), frozenset(outputs))
    return tuple(
        Moment(
            visit.name,
            weight_bytes=weight_bytes,
            sample_bytes=size,
            workspace_bytes=workspaces[visit.name],
        )
        for visit, size in zip(visits, live, strict=True)
    )


def find_peak(moments: Iterable[Moment], batch: int) -> Moment:
    """The first moment with the most bytes."""
    return max(moments, key=lambda moment: moment.byte_count(batch))


def sample_sizes(nodes: Sequence[Node], inputs: Mapping[str, Sample]) -> dict[str, int]:
    """The bytes of one sample of every tensor."""
    sizes = {name: sample.byte_count for name, sample in inputs.items()}
    return sizes | {node.output.name: node.output.byte_count for node in nodes}


def working_bytes(work: Work, advisor: Advisor) -> int:
    """The most bytes that the work needs at once beside its inputs, weights and outputs.

    They are intermediate results and the workspace that `advisor` tells of each step alone, unless
    it knows the whole.
    """
    known = advisor.working_bytes(work)
    if known is not None:
        return known
    if isinstance(work, OperationStep):
        return advisor.advise(work).workspace_bytes
    visits = [
        Visit(step.output.name, tuple(spec.name for spec in step.inputs), step.output.name)
        for step in work.steps
    ]
    live = live_bytes(visits, _intermediate_sizes(work), frozenset(work.outputs))
    return max(
        size + advisor.advise(step).workspace_bytes
        for step, size in zip(work.steps, live, strict=True)
    )


def live_bytes(
    visits: Sequence[Visit], sizes: Mapping[str, int], kept: Collection[str]
) -> list[int]:
    """The bytes alive during each visit, where the tensors take `sizes` and `kept` ones stay.

    What no visit makes is there from the start.
    """
    made = {visit.makes for visit in visits}
    read = {name for visit in visits for name in visit.reads}
    live = sum(size for name, size in sizes.items() if name in read and name not in made)
    alive = []
    for visit, names in zip(visits, _expiring(visits, kept), strict=True):
        live += sizes[visit.makes]
        alive.append(live)
        live -= sum(sizes[name] for name in names)
    return alive


def _visits(nodes: Sequence[Node], advices: Sequence[Advice]) -> tuple[list[Visit], dict[str, int]]:
    """The steps as they are taken, under the name of the first layer in each, and workspaces."""
    members: dict[str, list[Node]] = {}
    workspaces: dict[str, int] = {}
    for node, advice in zip(nodes, advices, strict=True):
        name = advice.fused_into or node.output.name
        members.setdefault(name, []).append(node)
        workspaces[name] = max(workspaces.get(name, 0), advice.workspace_bytes)
    visits = [_visit(name, taken) for name, taken in members.items()]
    return visits, workspaces


def _visit(name: str, taken: Sequence[Node]) -> Visit:
    if len(taken) == 1:
        return Visit(name, taken[0].layer.inputs or (), name)
    inner = {node.output.name for node in taken}
    read = (sample.name for node in taken for sample in node.inputs)
    return Visit(name, tuple(n for n in read if n not in inner), taken[-1].output.name)


def _intermediate_sizes(program: Program) -> dict[str, int]:
    """The bytes of each tensor that has no place before the program runs, and 0 for the others."""
    sizes = {spec.name: 0 for spec in program.inputs}
    sizes |= {step.output.name: step.output.byte_count for step in program.steps}
    return sizes | dict.fromkeys(program.outputs, 0)


def _expiring(visits: Sequence[Visit], kept: Collection[str]) -> list[list[str]]:
    """For each visit, the tensors that nobody needs after it."""
    last = {visit.makes: index for index, visit in enumerate(visits)}  # if nobody reads it
    for index, visit in enumerate(visits):
        last.update(dict.fromkeys(visit.reads, index))
    expiring: list[list[str]] = [[] for _ in visits]
    for name, index in last.items():
        if name not in kept:
            expiring[index].append(name)
    return expiring
