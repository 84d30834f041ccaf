"""Work that needs more memory than there is, in pieces that do not.

Rows of the batch come first: they share nothing. A row that is still too large is cut into tiles
along the one axis where the least is computed twice, or along all of them if none suffices. If not
even that does, the output channels come in ranges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen

from convserve_server.planning.memory import working_bytes
from convserve_server.planning.program import Advisor, Program, Work
from convserve_server.planning.tiling.batches import even_ranges, rebatched, row_blocks
from convserve_server.planning.tiling.channels import (
    channel_count,
    channel_pieces,
    may_cut_channels,
    with_channels,
)
from convserve_server.planning.tiling.choosing import choose_counts, ladders_of
from convserve_server.planning.tiling.grid import Counts, Grid, find_cut, tile_bytes
from convserve_server.planning.tiling.pieces import Piece, Slice, Slices

MAX_PIECES = 1 << 12  # each takes a message and some microseconds
MAX_BLOCKS = 1 << 8


@frozen
class Split:
    """Work in pieces, in order, and the most working memory that one of them needs.

    No pieces: the work cannot be split so far, and `working_bytes` is the least that was reached.
    """

    pieces: tuple[Piece, ...]
    working_bytes: int


@frozen
class _Tiling:
    """A grid in tiles, each of which needs `working_bytes`; they compute `work` elements."""

    grid: Grid
    counts: Counts
    working_bytes: int
    work: int


def split(work: Work, advisor: Advisor, budget_bytes: int) -> Split:
    """The work in at most MAX_PIECES pieces whose working memory is within the budget.

    Working memory is `working_bytes` of a piece's program, and for a tile its inputs and results
    too. Results are those of the whole. Only integers that overflow may be refused for other
    values: those of a piece instead of all, among them what is wrong in a tile and not kept.

    Operations are never split: a gradient for a weight is a sum over everything, one for an input
    names its whole shape, and signals choose their algorithm by the length of the whole.
    """
    needed = working_bytes(work, advisor)
    if not isinstance(work, Program):
        return Split((), needed)
    if needed <= budget_bytes:
        return Split((_row_piece(work, (0, _batch(work))),), needed)
    by_rows = _split_rows(work, advisor, budget_bytes)
    if by_rows.pieces:
        return by_rows
    tilings = _find_tilings(work, advisor, budget_bytes)
    fitting = [tiling for tiling in tilings if tiling.working_bytes <= budget_bytes]
    if not fitting:
        reached = min((by_rows.working_bytes, *(each.working_bytes for each in tilings)))
        return _split_channels(work, advisor, budget_bytes, reached)
    best = min(fitting, key=lambda tiling: tiling.work)
    return Split(_tile_pieces(best, _batch(work)), best.working_bytes)


def row_pieces(work: Work, block_bytes: int) -> tuple[Piece, ...]:
    """A batch as pieces of `row_blocks`; () for what has no rows, or is one block."""
    if not isinstance(work, Program):
        return ()
    return tuple(_row_piece(work, rows) for rows in row_blocks(work, block_bytes))


def _split_rows(program: Program, advisor: Advisor, budget_bytes: int) -> Split:
    """The fewest pieces of whole rows."""
    batch = _batch(program)

    def bytes_of(count: int) -> int:
        sizes = {batch // count, -(-batch // count)}
        return max(working_bytes(rebatched(program, rows), advisor) for rows in sizes)

    count = _fewest(bytes_of, budget_bytes, 1, min(max(1, batch), MAX_PIECES))
    reached = bytes_of(count)
    fits = reached <= budget_bytes
    ranges = even_ranges(batch, count) if fits else ()
    return Split(tuple(_row_piece(program, rows) for rows in ranges), reached)


def _split_channels(program: Program, advisor: Advisor, budget_bytes: int, reached: int) -> Split:
    """The fewest ranges of output channels of each row; `reached` is what other ways need."""
    row, most = rebatched(program, 1), MAX_PIECES // max(1, _batch(program))
    if not may_cut_channels(row) or most < 2:
        return Split((), reached)
    channels = channel_count(row)

    def bytes_of(count: int) -> int:
        return working_bytes(with_channels(row, -(-channels // count)), advisor)

    count = _fewest(bytes_of, budget_bytes, 1, min(channels, most))
    needed = bytes_of(count)
    if needed > budget_bytes:
        return Split((), min(reached, needed))
    ranges = even_ranges(channels, count)
    return Split(tuple(channel_pieces(row, _batch(program), ranges)), needed)


def _find_tilings(program: Program, advisor: Advisor, budget_bytes: int) -> list[_Tiling]:
    """For each axis that can be cut, the largest tiles of one row that fit; else, of all axes."""
    most = MAX_PIECES // max(1, _batch(program))
    row = rebatched(program, 1)
    axes = range(2, len(row.inputs[0].shape)) if most > 1 else ()
    cuts = tuple(cut for axis in axes if (cut := find_cut(row, axis)))
    grids = [Grid(row, (cut,)) for cut in cuts]
    tilings = [_choose_tiling(grid, advisor, budget_bytes, most) for grid in grids]
    if len(cuts) > 1 and all(tiling.working_bytes > budget_bytes for tiling in tilings):
        tilings.append(_choose_tiling(Grid(row, cuts), advisor, budget_bytes, most))
    return tilings


def _choose_tiling(grid: Grid, advisor: Advisor, budget_bytes: int, most: int) -> _Tiling:
    def bytes_of(counts: Counts) -> int:
        return tile_bytes(grid.tile(counts), advisor)

    work = grid.work_of(dict.fromkeys((step.output.name for step in grid.program.steps), 1))
    counts = choose_counts(
        ladders_of(grid.cuts), work, lambda counts: bytes_of(counts) <= budget_bytes, most
    )
    return _Tiling(grid, counts, bytes_of(counts), work(counts))


def _fewest(bytes_of: Callable[[int], int], budget_bytes: int, least: int, most: int) -> int:
    """The fewest pieces, from `least` to `most`, that fit the budget; `most` if none do."""
    while least < most:
        middle = (least + most) // 2
        if bytes_of(middle) <= budget_bytes:
            most = middle
        else:
            least = middle + 1
    return most


def _row_piece(program: Program, rows: tuple[int, int]) -> Piece:
    start, stop = rows
    part = (Slice(0, start, stop),)
    return Piece(
        program=rebatched(program, stop - start),
        inputs={spec.name: part for spec in program.inputs},
        outputs=dict.fromkeys(program.outputs, part),
        kept=dict.fromkeys(program.outputs, ()),
    )


def _tile_pieces(tiling: _Tiling, batch: int) -> tuple[Piece, ...]:
    """The tiles of every row, one row after the other."""
    tiles = tuple(tiling.grid.pieces(tiling.counts))
    return tuple(_in_row(tile, row) for row in range(batch) for tile in tiles)


def _in_row(tile: Piece, row: int) -> Piece:
    """A tile of one row, as a part of the batch."""

    def place(parts: Mapping[str, Slices]) -> dict[str, Slices]:
        return {name: (Slice(0, row, row + 1), *part) for name, part in parts.items()}

    return Piece(tile.program, place(tile.inputs), place(tile.outputs), tile.kept)


def _batch(program: Program) -> int:
    return program.inputs[0].shape[0]
