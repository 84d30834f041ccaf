"""The blocks in which a long signal is transformed; see `overlap`."""

from __future__ import annotations

TAPS_PER_BLOCK = 8  # blocks are so many times as long as the taps: 7/8 of each is result
SMALLEST_BLOCK = 1 << 12
SIDE_BY_SIDE = 4
GROUP_SAMPLES = 1 << 18  # of the blocks that are transformed together, at most


def block_length(taps: int, outputs: int) -> int:
    """The samples of a block: a power of two, but not much beyond what there is to compute."""
    wanted = max(SMALLEST_BLOCK, TAPS_PER_BLOCK << (taps - 1).bit_length())
    whole = 1 << (outputs + taps - 2).bit_length()
    return min(wanted, whole)


def group_size(block: int) -> int:
    """How many blocks are transformed together."""
    return max(1, min(SIDE_BY_SIDE, GROUP_SAMPLES // block))
