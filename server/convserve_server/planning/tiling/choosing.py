"""Which grid of tiles to take: the one with the least work among those that fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

from convserve_server.planning.tiling.grid import Counts, Cut

# Every number of tiles is tried up to so many: along one axis alone, or each of several.
EVERY_COUNT, EVERY_COUNT_OF_SEVERAL = 1024, 32
STEP = 16  # and from there on steps of a 16th


def ladders_of(cuts: Sequence[Cut]) -> tuple[tuple[int, ...], ...]:
    """For each axis the numbers of tiles to try: 1 first, and each with shorter tiles."""
    every = EVERY_COUNT if len(cuts) == 1 else EVERY_COUNT_OF_SEVERAL
    return tuple(_ladder(cut, every) for cut in cuts)


def _ladder(cut: Cut, every: int) -> tuple[int, ...]:
    """1, and then the fewest tiles of each size; above `every`, of some sizes."""
    counts = [1]
    while counts[-1] < cut.most_tiles:
        count = counts[-1]
        wanted = count + (count // STEP if count >= every else 1)
        advance = min(-(-cut.periods // count) - 1, -(-cut.periods // wanted))
        counts.append(-(-cut.periods // max(cut.least, advance)))
    return tuple(counts)


def choose_counts(
    ladders: Sequence[Sequence[int]],
    work: Callable[[Counts], int],
    fits: Callable[[Counts], bool],
    most: int,
) -> Counts:
    """The grid of at most `most` tiles that fits with the least work; the finest if none does.

    More tiles along an axis never need more memory each, nor less work in all, but where the whole
    computes what nobody reads. So a first grid is found on a path from one tile to the finest grid,
    and then only those with less work than the best so far are looked at: `fits` is asked rarely.
    """
    path = _descend(ladders, work, most)
    best = _first(path, fits)
    if best is None or len(path) == 1:
        return path[-1]
    *others, last = ladders
    for start in product(*others):
        line = [(*start, count) for count in last]
        if work(line[0]) < work(best):
            best = _improve(best, line, work, fits, most)
    return best


def _descend(
    ladders: Sequence[Sequence[int]], work: Callable[[Counts], int], most: int
) -> list[Counts]:
    """From one tile to the finest grid, each time along the axis where that costs the least."""
    rungs = [0] * len(ladders)
    path = [tuple(counts[0] for counts in ladders)]
    while True:
        steps = []
        for axis, counts in enumerate(ladders):
            if rungs[axis] + 1 < len(counts):
                now, finer = path[-1], counts[rungs[axis] + 1]
                after = (*now[:axis], finer, *now[axis + 1 :])
                if math.prod(after) <= most:
                    cost = (work(after) - work(now)) / math.log(finer / now[axis])
                    steps.append((cost, axis, after))
        if not steps:
            return path
        _, axis, after = min(steps)
        rungs[axis] += 1
        path.append(after)


def _improve(
    best: Counts,
    line: Sequence[Counts],
    work: Callable[[Counts], int],
    fits: Callable[[Counts], bool],
    most: int,
) -> Counts:
    """The best grid so far, or one along a line of grids, each finer than the one before."""
    limit = work(best)
    less = [counts for counts in line if math.prod(counts) <= most and work(counts) < limit]
    first = _first(less, fits)
    return best if first is None else min(less[less.index(first) :], key=work)


def _first(grids: Sequence[Counts], fits: Callable[[Counts], bool]) -> Counts | None:
    """The first grid that fits, of such that all behind it fit too; None if none does."""
    if not grids or not fits(grids[-1]):
        return None
    low, high = 0, len(grids) - 1
    while low < high:
        middle = (low + high) // 2
        if fits(grids[middle]):
            high = middle
        else:
            low = middle + 1
    return grids[low]
