"""The batch axis: the same program for other rows, and rows in blocks."""

from __future__ import annotations

from itertools import pairwise

from convserve.layers import (
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
    IntegerConv,
    MaxUnpool,
    SeparableConv,
    SubPixelConv,
)
from convserve.tensors import dtype_of

from convserve_server.planning.program import Program, Step, Work, work_outputs
from convserve_server.planning.tiling.pieces import reshaped, with_size

MAX_BLOCKS = 1 << 8

_SUMS = Conv | ConvTranspose | Dense | DepthwiseConv | SeparableConv | SubPixelConv | IntegerConv


def rebatched(program: Program, rows: int) -> Program:
    """The same program for a batch of `rows`. Weights have no batch and stay as they are."""
    return reshaped(program, lambda spec: with_size(spec, 0, rows))


def is_row_separable(work: Work) -> bool:
    """Whether each row of the batch is computed as if it were alone, so that calls can be joined.

    No kind of layer looks across the batch, but a sum of products of integers is refused by the
    extremes of its whole input, and an unpooling by any of its indices: one row's values could then
    refuse another's.

    Operations are not: signals have no batch, a gradient for a weight is a sum over all rows, and
    a gradient for an input names its whole shape.
    """
    return isinstance(work, Program) and not any(map(_is_refused_together, work.steps))


def row_blocks(program: Program, block_bytes: int) -> tuple[tuple[int, int], ...]:
    """The batch as (start, stop) ranges whose inputs and outputs take up to `block_bytes`.

    At least one row each, as equal as possible, and larger ones where they were more than
    MAX_BLOCKS; () where there would be fewer than two.
    """
    rows = program.inputs[0].shape[0]
    total = sum(spec.byte_count for spec in (*program.inputs, *work_outputs(program)))
    if not total:
        return ()
    fitting = max(1, block_bytes * rows // total)
    count = min(-(-rows // fitting), MAX_BLOCKS)
    return even_ranges(rows, count) if count > 1 else ()


def even_ranges(length: int, count: int) -> tuple[tuple[int, int], ...]:
    """`count` adjacent (start, stop) ranges that make up `length`, the longer ones first."""
    size, longer = divmod(length, count)
    return tuple(pairwise(index * size + min(index, longer) for index in range(count + 1)))


def _is_refused_together(step: Step) -> bool:
    if isinstance(step.layer, MaxUnpool):
        return True
    return isinstance(step.layer, _SUMS) and dtype_of(step.output.dtype).kind in "biu"
