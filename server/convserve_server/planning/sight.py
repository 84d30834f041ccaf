"""The receptive field of every layer of a network, in execution order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from convserve_server.planning.graph import Node, Sample
from convserve_server.planning.limits import check_counts
from convserve_server.planning.receptive_field import AxisFields, Reach, jumps_agree
from convserve_server.planning.seen import Seen, join, reaches_of, through


class Sight(msgspec.Struct, frozen=True):
    """What a layer's input and its output see of the network's input; None: no spatial axes."""

    before: AxisFields | None
    reaches: tuple[Reach, ...]
    after: AxisFields | None
    note: str = ""


def look(nodes: Sequence[Node], inputs: Mapping[str, Sample]) -> tuple[Sight, ...]:
    """What each of the nodes sees. Raises TooLargeError for a field beyond 63 bits."""
    seen = {name: Seen.of_input(sample.shape) for name, sample in inputs.items()}
    sights = []
    for node in nodes:
        branches = [seen[sample.name] for sample in node.inputs[: node.rule.seen_inputs]]
        before = join(branches)
        reaches = reaches_of(node, before)
        after = through(node, before, reaches)
        if after.fields is not before.fields:
            _check_size(after.fields)
        seen[node.output.name] = after
        sights.append(
            Sight(
                before=before.fields or None,
                reaches=reaches,
                after=after.fields or None,
                note=_note(node, branches, before, after),
            )
        )
    return tuple(sights)


def _note(node: Node, branches: Sequence[Seen], before: Seen, after: Seen) -> str:
    name = node.output.name
    if after.fields is None and before.fields is not None:
        return (
            f"{name} joins or splits spatial axes: from there on, what an element sees is no range "
            "of the input, so there is no receptive field"
        )
    if len(branches) == 1:
        return ""
    if not jumps_agree([branch.fields for branch in branches]):
        return (
            f"{name} joins branches of different strides: its receptive field spans all of them, "
            "with the jump of the first"
        )
    if _is_aligned(before) or not all(map(_is_aligned, branches)):
        return ""
    return (
        f"{name} joins branches that look at different places: the centres of what their elements "
        "see are not the same; its receptive field spans all of them"
    )


def _is_aligned(seen: Seen) -> bool:
    return all(axis.aligned for axis in seen.fields or ())


def _check_size(field: AxisFields | None) -> None:
    for axis in dict.fromkeys(field or ()):  # most have axes that are alike
        parts = (*axis.jump.as_integer_ratio(), *axis.start.as_integer_ratio())
        check_counts("input elements in a receptive field", max(axis.size, *map(abs, parts)))
