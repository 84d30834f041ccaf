"""When the most memory is in use, by liveness over the execution order.

All weights stay. A network input lives until its last reader has run, a result until the end,
anything else from its step to that of its last reader; a step's inputs, output and workspace are
there at once. Allocators, libraries and the process itself are not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from convserve_server.planning.graph import Node, Sample


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
    expiring = _expiring(nodes, frozenset(outputs))
    sizes = {name: sample.byte_count for name, sample in inputs.items()}
    live = sum(sizes.values())
    moments = []
    for node, workspace, names in zip(nodes, workspaces, expiring, strict=True):
        sizes[node.output.name] = node.output.byte_count
        live += node.output.byte_count
        moments.append(Peak(node.output.name, weight_bytes, workspace, live, batch))
        live -= sum(sizes[name] for name in names)
    return max(moments, key=lambda moment: moment.byte_count)


def _expiring(nodes: Sequence[Node], kept: frozenset[str]) -> list[list[str]]:
    """For each step, the tensors that nobody needs after it."""
    last = {node.output.name: index for index, node in enumerate(nodes)}  # if nobody reads it
    for index, node in enumerate(nodes):
        last.update((sample.name, index) for sample in node.inputs)
    expiring: list[list[str]] = [[] for _ in nodes]
    for name, index in last.items():
        if name not in kept:
            expiring[index].append(name)
    return expiring
