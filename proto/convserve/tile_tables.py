"""Tile plans as people read them: plain text, aligned, without colour."""

from __future__ import annotations

from collections.abc import Iterator

from convserve.tables import Column, byte_text, shape_text, table_text
from convserve.tilings import TileAxis, TilePlan, TileTrack


def tiles_text(plan: TilePlan) -> str:
    """A line on the whole, a table of the tensors along the axes that are cut, and the notes."""
    table = [table_text(_columns(plan))] if plan.axes else []
    return "\n".join([_headline(plan), *table, *plan.notes])


def _headline(plan: TilePlan) -> str:
    tiles = f"{' × '.join(map(str, plan.grid))} tiles" if plan.axes else "1 tile"
    rows = "" if plan.rows == 1 else f", {plan.rows} rows one by one"
    shapes = ", ".join(shape_text(spec.shape) for spec in plan.tile_inputs)
    return (
        f"{tiles} of {shapes}{rows}: {byte_text(plan.peak_memory_bytes)} each of at most "
        f"{byte_text(plan.memory_limit_bytes)}, where a whole row takes "
        f"{byte_text(plan.row_memory_bytes)}; {plan.recomputed_share:.1%} of the work is done again"
    )


def _columns(plan: TilePlan) -> list[Column]:
    """Each tensor along each axis: what tiles keep of an output, and share of any other."""
    inputs, outputs = ({spec.name for spec in specs} for specs in (plan.inputs, plan.outputs))
    names = [track.name for track in plan.axes[0].tracks]
    rows = [(axis, axis.track(name)) for name in names for axis in plan.axes]

    def column(heading: str, cells: Iterator[object]) -> Column:
        return Column(heading, tuple(map(str, cells)), heading != "Tensor")

    return [
        column("Tensor", (track.name for _, track in rows)),
        column("Axis", (axis.axis for axis, _ in rows)),
        column("Tiles", (axis.count for axis, _ in rows)),
        column("Length", (track.length for _, track in rows)),
        column("Tile", (track.tile_length for _, track in rows)),
        column("Kept", (_kept(*row) if row[1].name in outputs else "" for row in rows)),
        column("Halo", ("" if row[1].name in outputs else _halo(*row) for row in rows)),
        column("Padding", (_padding(track) if track.name in inputs else "" for _, track in rows)),
    ]


def _kept(axis: TileAxis, track: TileTrack) -> str:
    """The lengths that tiles keep: first, inner, last."""
    places = sorted({0, min(1, axis.count - 1), axis.count - 1})
    bounds = [axis.kept(track, place) for place in places]
    return ", ".join(str(stop - start) for start, stop in bounds)


def _halo(axis: TileAxis, track: TileTrack) -> str:
    return str(axis.halo(track, min(1, axis.count - 1))[0])


def _padding(track: TileTrack) -> str:
    return f"{track.padding_low}, {track.padding_high}"
