"""The receptive field of every layer of a network, in execution order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from convserve_server.planning.graph import Node, Sample
from convserve_server.planning.limits import check_counts
from convserve_server.planning.receptive_field import (
    AxisField,
    AxisFields,
    Reach,
    advance,
    jumps_agree,
    unite,
)


@frozen
class Sight:
    """What a layer's input and its output see of the network's input; None: no spatial axes."""

    before: AxisFields | None
    reaches: tuple[Reach, ...]
    after: AxisFields | None
    note: str = ""


def look(nodes: Sequence[Node], inputs: Mapping[str, Sample]) -> tuple[Sight, ...]:
    """What each of the nodes sees. Raises TooLargeError for a field beyond 63 bits."""
    fields: dict[str, AxisFields | None] = {
        name: tuple(AxisField() for _ in sample.shape[1:]) or None
        for name, sample in inputs.items()
    }
    sights = []
    for node in nodes:
        branches = [fields[sample.name] for sample in node.inputs]
        before = unite(branches)
        reaches = node.rule.reach(node.layer, node.shapes)
        after = advance(before, reaches)
        _check_size(after)
        fields[node.output.name] = after
        sights.append(Sight(before, reaches, after, _note(node, branches)))
    return tuple(sights)


def _note(node: Node, branches: Sequence[AxisFields | None]) -> str:
    if jumps_agree(branches):
        return ""
    return (
        f"{node.output.name} joins branches of different strides: its receptive field spans all "
        "of them, with the jump of the first"
    )


def _check_size(field: AxisFields | None) -> None:
    for axis in field or ():
        numbers = (axis.jump, axis.start)
        parts = [part for number in numbers for part in number.as_integer_ratio()]
        check_counts("input elements in a receptive field", max(axis.size, *map(abs, parts)))
