"""A layer's plan in words: each formula, followed by itself with the numbers."""

from __future__ import annotations

from convserve_server.planning.axes import axis_names
from convserve_server.planning.graph import Node
from convserve_server.planning.receptive_field import explain_reach
from convserve_server.planning.sight import Sight


def explain(node: Node, sight: Sight, batch: int) -> tuple[str, ...]:
    """Shape, weights, counts and receptive field of one layer, for `batch` samples."""
    lines = node.rule.explain(node.given, node.layer, node.shapes)
    return (*lines, *_flop_lines(node, batch), *_field_lines(sight))


def _flop_lines(node: Node, batch: int) -> list[str]:
    if not node.flop_count:
        return ["FLOPs = 0: it moves elements and computes nothing"]
    numbers = f"2 * {node.mac_count} + {node.work.count} = {node.flop_count}"
    lines = [
        f"FLOPs = 2 * MACs + elementwise = {numbers} per sample (elementwise: {node.work.meaning})"
    ]
    if batch != 1:
        lines.append(
            f"FLOPs of the batch = {batch} * {node.flop_count} = {batch * node.flop_count}"
        )
    return lines


def _field_lines(sight: Sight) -> list[str]:
    lines = [sight.note] if sight.note else []
    if sight.before is None or sight.after is None or not sight.reaches:
        return lines
    names = axis_names(len(sight.before))
    rows = zip(names, sight.before, sight.reaches, sight.after, strict=True)
    for axis, before, reach, after in rows:
        lines += [f"{axis}: {line}" for line in explain_reach(before, reach, after)]
    return lines
