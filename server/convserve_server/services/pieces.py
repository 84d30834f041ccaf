"""Work as the workers get it: whole, in blocks of rows, or in pieces that fit their memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from attrs import field, frozen
from convserve.errors import TooLargeError
from convserve.tensors import Shape, TensorSpec

from convserve_server.planning.memory import working_bytes
from convserve_server.planning.program import Advisor, Program, Work, work_outputs, work_parameters
from convserve_server.planning.tiling import (
    Piece,
    Slices,
    is_row_separable,
    rebatched,
    row_pieces,
    split,
)
from convserve_server.workers.messages import Taken, encode_work

# Inputs and results of a block of rows: computed while the next is received and the last is sent.
BLOCK_BYTES = 16 << 20
MAX_BATCH_TENSORS = 1024


@frozen(kw_only=True)
class EncodedPiece:
    """A piece of work as `encode_work` made it, with `taken` and `kept` of `jobs.Job`.

    It reads none but the first `read_rows` rows of the batch; when it is done, and the pieces
    before it, the first `made_rows` rows of the results are there. It `is_frugal` if the work is
    split because memory is short.
    """

    work: bytes
    working_bytes: int
    read_rows: int
    made_rows: int
    is_frugal: bool = False
    taken: Mapping[str, Taken] = field(factory=dict)
    kept: Mapping[str, Slices] = field(factory=dict)
    has_whole_weights: bool = True


def make_pieces(
    work: Work, tensors: Sequence[TensorSpec], advisor: Advisor, budget_bytes: int, lanes: int = 1
) -> tuple[EncodedPiece, ...]:
    """The work in order, each piece within the budget of working memory.

    `tensors` are its inputs and results as they lie in memory. Where the device has several lanes,
    a piece takes the share of one if it can, so that copies overlap with other pieces' arithmetic.
    Raises TooLargeError if splitting does not help.
    """
    shapes = {spec.name: spec.shape for spec in tensors}
    if _is_empty(work):
        return (_whole(work, 0),)
    needed = working_bytes(work, advisor)
    if needed <= budget_bytes:
        blocks = row_pieces(work, BLOCK_BYTES)
        if blocks:
            block_bytes = max(working_bytes(each, advisor) for each in {b.program for b in blocks})
            return _encode(blocks, block_bytes, shapes, is_frugal=False)
        return (_whole(work, needed),)
    found = split(work, advisor, budget_bytes // lanes)
    if lanes > 1 and not found.pieces:
        found = split(work, advisor, budget_bytes)
    shapes |= {spec.name: spec.shape for spec in work_parameters(work)}
    if not found.pieces:
        raise TooLargeError(
            f"the work needs {needed} bytes of working memory, for intermediate results, and on a "
            f"GPU for all tensors; split, it still needs {found.working_bytes}, and the device's "
            f"workers have {budget_bytes}; make the tensors smaller",
            metadata={
                "planned_bytes": needed,
                "split_bytes": found.working_bytes,
                "limit_bytes": budget_bytes,
            },
        )
    return _encode(found.pieces, found.working_bytes, shapes, is_frugal=True)


def sample_work(program: Program) -> bytes:
    """The work for one row, equal for all that one batch may be made of; empty for none.

    A batch is gathered part by part: of many tensors that costs more than it saves.
    """
    tensors = len(program.inputs) + sum(len(step.parameters) for step in program.steps)
    if not is_row_separable(program) or not program.inputs[0].shape[0]:
        return b""
    return encode_work(rebatched(program, 1)) if tensors <= MAX_BATCH_TENSORS else b""


def _is_empty(work: Work) -> bool:
    """Whether it has no rows: then nothing is computed."""
    return isinstance(work, Program) and not work.inputs[0].shape[0]


def _whole(work: Work, needed: int) -> EncodedPiece:
    rows = work_outputs(work)[0].shape[0] if isinstance(work, Program) else 1
    return EncodedPiece(
        work=encode_work(work), working_bytes=needed, read_rows=rows, made_rows=rows
    )


def _encode(
    pieces: Sequence[Piece], needed: int, shapes: Mapping[str, Shape], *, is_frugal: bool
) -> tuple[EncodedPiece, ...]:
    works = {program: encode_work(program) for program in {piece.program for piece in pieces}}
    rows = next(iter(shapes.values()))[0]
    starts = [min(_rows(part, rows)[0] for part in piece.outputs.values()) for piece in pieces]
    made = list(accumulate(reversed([*starts[1:], rows]), min))  # the last piece first
    return tuple(
        EncodedPiece(
            work=works[piece.program],
            working_bytes=needed,
            read_rows=max(_rows(part, rows)[1] for part in piece.inputs.values()),
            made_rows=made_rows,
            is_frugal=is_frugal,
            taken={
                name: Taken(shapes[name], part)
                for parts in (piece.inputs, piece.weights, piece.outputs)
                for name, part in parts.items()
            },
            kept={name: part for name, part in piece.kept.items() if part},
            has_whole_weights=not piece.weights,
        )
        for piece, made_rows in zip(pieces, reversed(made), strict=True)
    )


def _rows(part: Slices, rows: int) -> tuple[int, int]:
    """The rows of the batch that a part of a tensor is in."""
    return next(((each.start, each.stop) for each in part if each.axis == 0), (0, rows))
