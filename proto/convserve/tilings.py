"""How a network is run tile by tile: where each tile reads and writes, and what that costs.

All tiles have one size. A tile is the same network on a part of the input; where it ends and the
whole goes on, the network pads what it should have read, so the elements of its results that saw
such padding are wrong and are not kept. Along an axis every tensor shifts by a whole number of its
own elements, its `period`, when the input shifts by its period.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import TypeAlias

from attrs import field, frozen

from convserve.tensors import TensorSpec

Index: TypeAlias = tuple[slice, ...]  # of an array: `x[index]`
Bounds: TypeAlias = tuple[int, int]  # (start, stop), or (low, high)


@frozen(kw_only=True)
class TileTrack:
    """One tensor along one axis: the whole's length, a tile's, and the shift with each period.

    In a tile's result, `low` elements are wrong at the start and `high` at the end, unless that is
    an end of the whole. What the whole's results see of an input goes beyond its ends by
    `padding_low` and `padding_high` elements.
    """

    name: str
    length: int
    tile_length: int
    period: int
    low: int = 0
    high: int = 0
    padding_low: int = 0
    padding_high: int = 0


@frozen(kw_only=True)
class TileAxis:
    """An axis that is cut into `count` tiles, the last of which begins `spread` periods behind.

    Axes are numbered as those of tensors: 2 is the first spatial one. `tracks` are those of the
    inputs and outputs, and of all layers where they were asked for.
    """

    axis: int
    count: int
    spread: int
    tracks: tuple[TileTrack, ...]

    def track(self, name: str) -> TileTrack:
        """The track of a tensor. Raises KeyError."""
        for track in self.tracks:
            if track.name == name:
                return track
        raise KeyError(name)

    def offset(self, index: int) -> int:
        """Where a tile begins, in periods."""
        return self.spread * index // max(1, self.count - 1)

    def held(self, track: TileTrack, index: int) -> Bounds:
        """What a tile has of the tensor, wrong elements included, in the whole's numbers."""
        start = self.offset(index) * track.period
        return start, start + track.tile_length

    def right(self, track: TileTrack, index: int) -> Bounds:
        """What of that is as in the whole."""
        start, stop = self.held(track, index)
        low = track.low if index > 0 else 0
        high = track.high if index < self.count - 1 else 0
        return start + low, stop - high

    def kept(self, track: TileTrack, index: int) -> Bounds:
        """What a tile adds to an output: up to where the next tile is right."""
        start = self.right(track, index)[0]
        if index == self.count - 1:
            return start, track.length
        return start, self.right(track, index + 1)[0]

    def halo(self, track: TileTrack, index: int) -> Bounds:
        """How many elements of the tensor the tile shares with the one before and the next one."""
        start, stop = self.held(track, index)
        low = self.held(track, index - 1)[1] - start if index > 0 else 0
        high = stop - self.held(track, index + 1)[0] if index < self.count - 1 else 0
        return max(0, low), max(0, high)

    def padding(self, track: TileTrack, index: int) -> Bounds:
        """How far what the tile's kept results see goes beyond the ends of the whole input."""
        low = track.padding_low if index == 0 else 0
        return low, track.padding_high if index == self.count - 1 else 0


@frozen(kw_only=True)
class TilePlan:
    """The tiles of a network: one row of the batch at a time, cut along `axes`.

    `inputs` and `outputs` are the whole's, `tile_inputs` and `tile_outputs` those of each tile, all
    channels first. A tile needs `peak_memory_bytes`, as a plan of the network for `tile_inputs`
    says, and a whole row would need `row_memory_bytes`. FLOPs are those of a tile and of a row.

    A network with one input and one output is run tile by tile so:

        for tile in plan.tiles():
            y[tile.output()] = client.run(network, x[tile.input()], weights)[tile.kept()]
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    tile_inputs: tuple[TensorSpec, ...]
    tile_outputs: tuple[TensorSpec, ...]
    axes: tuple[TileAxis, ...] = ()
    memory_limit_bytes: int
    peak_memory_bytes: int
    row_memory_bytes: int
    flop_count: int
    row_flop_count: int
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of the batch; 1 where it is not known yet."""
        return 1 if self.inputs[0].is_symbolic else self.inputs[0].shape[0]

    @property
    def grid(self) -> tuple[int, ...]:
        """Tiles along each of `axes`."""
        return tuple(axis.count for axis in self.axes)

    @property
    def tile_count(self) -> int:
        """All tiles of all rows."""
        return self.rows * math.prod(self.grid)

    @property
    def recomputed_share(self) -> float:
        """What is computed again, as a part of what the whole takes: 0.1 is 10 % more FLOPs.

        Below 0 where the whole computes what nobody reads, and tiles do not.
        """
        done = math.prod(self.grid) * self.flop_count
        return (done - self.row_flop_count) / max(1, self.row_flop_count)

    def tile(self, index: int) -> Tile:
        """The tile of that number. Raises IndexError."""
        if not 0 <= index < self.tile_count:
            raise IndexError(f"tile {index} is not one of {self.tile_count}")
        places: list[int] = []
        for count in reversed(self.grid):
            index, place = divmod(index, count)
            places.insert(0, place)
        return Tile(self, index, tuple(places))

    def tiles(self) -> Iterator[Tile]:
        """All tiles, row by row, the last axis first; each is made when it is asked for."""
        for row in range(self.rows):
            for places in product(*map(range, self.grid)):
                yield Tile(self, row, places)

    def __str__(self) -> str:
        from convserve.tile_tables import tiles_text  # the table reads tile plans: not at import

        return tiles_text(self)


@frozen
class Tile:
    """One tile: its row of the batch, and its place along each of the plan's axes.

    Names may be left out where there is one input or output. Raises KeyError for other names.
    """

    plan: TilePlan = field(repr=False)
    row: int
    places: tuple[int, ...]

    def input(self, name: str = "") -> Index:
        """The part of the whole input that the tile reads."""
        return self._index(_find(self.plan.inputs, name), "held", self.row)

    def output(self, name: str = "") -> Index:
        """The part of the whole output that the tile makes. Those of all tiles are the whole."""
        return self._index(_find(self.plan.outputs, name), "kept", self.row)

    def kept(self, name: str = "") -> Index:
        """Where that part is in the tile's own result."""
        spec = _find(self.plan.outputs, name)
        index = list(self._index(spec, "kept", 0))
        for axis, place in zip(self.plan.axes, self.places, strict=True):
            start = axis.held(axis.track(spec.name), place)[0]
            part = index[axis.axis]
            index[axis.axis] = slice(part.start - start, part.stop - start)
        return tuple(index)

    def halo(self, name: str = "") -> tuple[Bounds, ...]:
        """For each of the plan's axes, the input's elements that the neighbours read too."""
        track = _find(self.plan.inputs, name).name
        pairs = zip(self.plan.axes, self.places, strict=True)
        return tuple(axis.halo(axis.track(track), place) for axis, place in pairs)

    def padding(self, name: str = "") -> tuple[Bounds, ...]:
        """For each of the plan's axes, how far the tile sees beyond the ends of the whole input."""
        track = _find(self.plan.inputs, name).name
        pairs = zip(self.plan.axes, self.places, strict=True)
        return tuple(axis.padding(axis.track(track), place) for axis, place in pairs)

    def layer(self, name: str) -> tuple[tuple[Bounds, Bounds], ...]:
        """For each of the plan's axes, what the tile computes of a layer, and what is right of it.

        For a plan with all layers.
        """
        pairs = zip(self.plan.axes, self.places, strict=True)
        return tuple(
            (axis.held(axis.track(name), place), axis.right(axis.track(name), place))
            for axis, place in pairs
        )

    @property
    def recomputed_share(self) -> float:
        """What part of the tile's own FLOPs other tiles do too, by its share of the output."""
        spec, own = self.plan.outputs[0], float(self.plan.row_flop_count)
        for axis, place in zip(self.plan.axes, self.places, strict=True):
            start, stop = axis.kept(axis.track(spec.name), place)
            own = own * (stop - start) / axis.track(spec.name).length
        return 1 - own / self.plan.flop_count if self.plan.flop_count else 0.0

    def _index(self, spec: TensorSpec, part: str, row: int) -> Index:
        index = [slice(None)] * len(spec.shape)
        index[0] = slice(row, row + 1)
        for axis, place in zip(self.plan.axes, self.places, strict=True):
            bounds: Bounds = getattr(axis, part)(axis.track(spec.name), place)
            index[axis.axis] = slice(*bounds)
        return tuple(index)


def _find(specs: tuple[TensorSpec, ...], name: str) -> TensorSpec:
    if not name and len(specs) == 1:
        return specs[0]
    for spec in specs:
        if spec.name == name:
            return spec
    raise KeyError(name)
