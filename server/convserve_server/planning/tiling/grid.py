"""Tiles along one axis: one program for all of them, and where each reads and writes."""

from __future__ import annotations

from itertools import pairwise

from attrs import frozen
from convserve.tensors import TensorSpec

from convserve_server.planning.memory import working_bytes
from convserve_server.planning.program import Advisor, Program, work_outputs
from convserve_server.planning.tiling.pieces import Piece, Slice, Slices, reshaped, with_size
from convserve_server.planning.tiling.tracks import Track, find_tracks


@frozen
class Grid:
    """A program that can be cut along `axis`, into tiles of one size.

    All tiles together have to advance by `periods`, and each by `least` at least: a tile is as long
    as its margins and what it advances by.
    """

    program: Program
    axis: int
    tracks: dict[str, Track]
    periods: int
    least: int

    @property
    def most_tiles(self) -> int:
        """The number of tiles where they are the smallest."""
        return -(-self.periods // self.least)

    def tile(self, count: int) -> Program:
        """The program of each of `count` tiles; from 2 to `most_tiles`."""
        missing = self._missing(count)

        def cut(spec: TensorSpec) -> TensorSpec:
            track = self.tracks[spec.name]
            return with_size(spec, self.axis, track.length - missing * track.period)

        return reshaped(self.program, cut)

    def pieces(self, count: int) -> tuple[Piece, ...]:
        """`count` tiles in order. Their places in an output make it up, without overlap."""
        tile, missing = self.tile(count), self._missing(count)
        starts = [missing * index // (count - 1) for index in range(count)]
        sizes = {spec.name: spec.shape[self.axis] for spec in tile.inputs}
        places = {name: self._places(name, starts) for name in tile.outputs}
        return tuple(
            Piece(
                program=tile,
                inputs={name: self._part(name, start, (0, size)) for name, size in sizes.items()},
                outputs={name: self._part(name, 0, pairs[index]) for name, pairs in places.items()},
                kept={
                    name: self._part(name, -start, pairs[index]) for name, pairs in places.items()
                },
            )
            for index, start in enumerate(starts)
        )

    def _missing(self, count: int) -> int:
        """By how many periods a tile is shorter than the whole."""
        return self.periods - max(self.least, -(-self.periods // count))

    def _places(self, name: str, starts: list[int]) -> list[tuple[int, int]]:
        """What each tile adds to an output: as far as to where the next tile is right."""
        track = self.tracks[name]
        inner = (start * track.period + track.low for start in starts[1:])
        return list(pairwise((0, *inner, track.length)))

    def _part(self, name: str, periods: int, place: tuple[int, int]) -> Slices:
        """A range of a tensor, shifted by some periods."""
        start, stop = (bound + periods * self.tracks[name].period for bound in place)
        return (Slice(self.axis, start, stop),)


def find_grid(program: Program, axis: int) -> Grid | None:
    """How to cut the program along `axis`; None if it cannot be cut there."""
    tracks = find_tracks(program, axis)
    if tracks is None:
        return None
    periods = min(tracks[name].sound_periods for name in program.outputs)
    least = max(1, periods - min(track.spare_periods for track in tracks.values()))
    return Grid(program, axis, tracks, periods, least) if least < periods else None


def tile_bytes(tile: Program, advisor: Advisor) -> int:
    """The working memory of a tile: with its inputs and results, which may have to be copied."""
    copied = sum(spec.byte_count for spec in (*tile.inputs, *work_outputs(tile)))
    return copied + working_bytes(tile, advisor)
