"""Where the buffers of a recipe lie: offsets in two pieces of device memory, by liveness.

Weights, as they are needed by the commands, lie in one piece, which may stay for other runs. All
else lies in the other: a buffer takes its place with the first command that touches it, and frees
it after the last. The sizes are exact: they are what admission counts and the arena reserves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen
from convserve.ranges import Ranges

from convserve_server.engines.cuda.recipe import Command, Recipe, touched

ALIGNMENT = 256  # what cudaMalloc gives, and more than any kernel asks for


@frozen
class Placement:
    """The offset of every buffer: of `lasting` ones from the start of the weights' piece."""

    offsets: Mapping[str, int]
    lasting: frozenset[str]
    working_bytes: int
    lasting_bytes: int

    @property
    def byte_count(self) -> int:
        """Both pieces."""
        return self.working_bytes + self.lasting_bytes


def place(recipe: Recipe) -> Placement:
    """Offsets for all buffers of a recipe; equal recipes have equal ones."""
    lasting = _lasting(recipe)
    fixed, lasting_bytes = _row(lasting, recipe.buffers)
    spans = _spans(recipe, frozenset(lasting))
    offsets, working_bytes = _fit(spans, recipe.buffers)
    return Placement(offsets | fixed, frozenset(lasting), working_bytes, lasting_bytes)


def _lasting(recipe: Recipe) -> list[str]:
    """Buffers made by weights alone that a command reads."""
    made = {view.buffer for view in recipe.weights.values()}
    made |= {view.buffer for command in recipe.preparation for view in touched(command)}
    read = (view.buffer for command in recipe.commands for view in touched(command))
    checked = (view.buffer for check in recipe.checks for view in check.values)
    return [name for name in dict.fromkeys((*read, *checked)) if name in made]


def _row(names: Iterable[str], sizes: Mapping[str, int]) -> tuple[dict[str, int], int]:
    offsets, end = {}, 0
    for name in names:
        offsets[name] = end
        end += _aligned(sizes[name])
    return offsets, end


def _spans(recipe: Recipe, lasting: frozenset[str]) -> list[tuple[str, int, int]]:
    """For each other buffer, the first and the last moment at which it is needed.

    Weights come before the preparation, inputs after it; results and what is checked stay to the
    end.
    """
    steps: Sequence[Command] = (*recipe.preparation, *recipe.commands)
    start, end = len(recipe.preparation), len(steps)
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for moment, command in enumerate(steps):
        for view in touched(command):
            first.setdefault(view.buffer, moment)
            last[view.buffer] = moment
    for view in recipe.weights.values():
        first[view.buffer] = 0
        last.setdefault(view.buffer, 0)
    for view in recipe.inputs.values():
        first[view.buffer] = min(start, first.get(view.buffer, start))
        last.setdefault(view.buffer, start)
    for view in (*recipe.outputs.values(), *(v for c in recipe.checks for v in c.values)):
        first.setdefault(view.buffer, end)
        last[view.buffer] = end
    spans = [(name, first[name], last[name]) for name in first if name not in lasting]
    return sorted(spans, key=lambda span: span[1])


def _fit(
    spans: Sequence[tuple[str, int, int]], sizes: Mapping[str, int]
) -> tuple[dict[str, int], int]:
    """Each buffer at the lowest place that is free while it lives; returns the highest end too."""
    most = sum(_aligned(sizes[name]) for name, _, _ in spans)
    free = Ranges()
    free.add(0, most)
    offsets: dict[str, int] = {}
    alive: list[tuple[int, str]] = []
    highest = 0
    for name, first, last in spans:
        for until, gone in [each for each in alive if each[0] < first]:
            alive.remove((until, gone))
            _give_back(free, offsets[gone], _aligned(sizes[gone]))
        size = _aligned(sizes[name])
        offsets[name] = _take(free, size)
        highest = max(highest, offsets[name] + size)
        alive.append((last, name))
    return offsets, highest


def _take(free: Ranges, size: int) -> int:
    if not size:
        return 0
    start = next(start for start, end in free if end - start >= size)
    free.remove(start, start + size)
    return start


def _give_back(free: Ranges, start: int, size: int) -> None:
    if size:
        free.add(start, start + size)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
