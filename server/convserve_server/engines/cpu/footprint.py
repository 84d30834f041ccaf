"""What the cpu engine holds beside the tensors of a program: packed weights, sessions, holes.

Told for weights that stay, as those of models do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import field, frozen

from convserve_server.engines.cpu.arena import Arena
from convserve_server.engines.cpu.runs import (
    find_hosts,
    fits_blocks,
    is_alone,
    reordered_bytes,
    session_order,
    split_runs,
    unrolled_bytes,
    weight_bytes,
)
from convserve_server.planning.program import Advice, Step

# Weights of a run that stay become constants of its session up to here, two of which may be kept.
PACKED_BYTES = 128 << 20
# What a session takes for itself: its graph and threads. Measured: 2 to 4 MiB.
SESSION_BYTES = 3 << 20
_SCRATCH = ":scratch"  # no layer has this name


@frozen
class Run:
    """Consecutive steps in one session, as advised. `kept` names the results that others read.

    `constant`: the weights are part of the session, in its own form; `blocked`: so are activations.
    """

    steps: tuple[Step, ...]
    advices: tuple[Advice, ...]
    kept: frozenset[str]
    weight_bytes: int = field(init=False)
    constant: bool = field(init=False)
    blocked: bool = field(init=False)
    hosts: Mapping[str, str] = field(init=False)
    scratch: Mapping[str, int] = field(init=False)
    order: tuple[Step, ...] = field(init=False)

    @weight_bytes.default
    def _count_weight_bytes(self) -> int:
        return weight_bytes(self.steps)

    @constant.default
    def _is_constant(self) -> bool:
        return self.weight_bytes <= PACKED_BYTES

    @blocked.default
    def _is_blocked(self) -> bool:
        return self.constant and fits_blocks(self.steps)

    @hosts.default
    def _find_hosts(self) -> Mapping[str, str]:
        return find_hosts(self.steps, self.kept, constant=self.constant)

    @scratch.default
    def _count_scratch(self) -> Mapping[str, int]:
        copies = reordered_bytes(self.steps, self.kept) if self.blocked else {}
        return {
            step.output.name: advice.workspace_bytes
            + (copies[step.output.name] if self.blocked else unrolled_bytes(step))
            for step, advice in zip(self.steps, self.advices, strict=True)
        }

    @order.default
    def _find_order(self) -> tuple[Step, ...]:
        return self.steps if self.blocked else session_order(self.steps, self.hosts)

    @property
    def is_alone(self) -> bool:
        """Whether it is one step without ONNX Runtime."""
        return is_alone(self.advices[0])

    @property
    def resident_bytes(self) -> int:
        """The session, with its own copy of the weights."""
        return SESSION_BYTES + self.weight_bytes * self.constant

    @property
    def start_bytes(self) -> int:
        """The most that making the session takes, its own copy of the weights included.

        The optimized graph has the weights, the session a copy of them, and passes make new ones
        one by one. Measured: twice the weights, and the largest of them 1.6 times, or 2.6 times
        where they are put into blocks.
        """
        if not self.constant:
            return SESSION_BYTES
        sizes = (spec.byte_count for step in self.steps for spec in step.parameters)
        largest = max(sizes, default=0)
        passes = (13 if self.blocked else 8) * largest // 5
        return SESSION_BYTES + 2 * self.weight_bytes + passes

    def allocate_in(self, arena: Arena) -> int:
        """Have `arena` go through the allocations. Returns the most bytes in use at once."""
        sizes = self._stored_sizes()
        expiring = self._expiring(sizes)
        live = most = 0
        for step in self.order:
            name = step.output.name
            pieces = {name: sizes.get(name, 0), _SCRATCH: self.scratch[name]}
            for piece, size in pieces.items():
                if size:
                    arena.allocate(piece, size)
                    live += size
            most = max(most, live)
            gone = [*expiring[name], *([_SCRATCH] if self.scratch[name] else [])]
            for piece in gone:
                arena.release(piece)
            live -= sum(sizes[piece] for piece in expiring[name]) + self.scratch[name]
        return most

    def _stored_sizes(self) -> Mapping[str, int]:
        """The results that lie in the arena, by the first step that makes them."""
        kept = {self.hosts.get(name, name) for name in self.kept}
        return {
            step.output.name: step.output.byte_count
            for step in self.steps
            if step.output.name not in self.hosts and step.output.name not in kept
        }

    def _expiring(self, sizes: Mapping[str, int]) -> Mapping[str, Collection[str]]:
        """For each step, the results of `sizes` that nobody needs after it."""
        last = {name: name for name in sizes if sizes[name]}
        for step in self.order:
            for spec in step.inputs:
                host = self.hosts.get(spec.name, spec.name)
                if host in last:
                    last[host] = step.output.name
        gone: dict[str, list[str]] = {step.output.name: [] for step in self.steps}
        for name, step_name in last.items():
            gone[step_name].append(name)
        return gone


def find_runs(advised: Sequence[tuple[Step, Advice]], outputs: Collection[str]) -> tuple[Run, ...]:
    """All steps of a program in order, in runs; each keeps what `outputs` or later runs name."""
    needed = set(outputs)
    runs = []
    for pairs in reversed(split_runs(advised)):
        steps, advices = zip(*pairs, strict=True)
        made = {step.output.name for step in steps}
        runs.append(Run(steps, advices, frozenset(made & needed)))
        needed |= {spec.name for step in steps for spec in step.inputs}
    return tuple(reversed(runs))


def arena_bytes(runs: Iterable[Run]) -> tuple[int, int]:
    """What the arena holds after all of them, and how much of it was in use at most."""
    arena = Arena()
    most = max((run.allocate_in(arena) for run in runs), default=0)
    return arena.byte_count, most
