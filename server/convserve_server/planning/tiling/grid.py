"""Tiles along one axis or several: one program for all of them, and where each reads and writes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import TypeAlias

from attrs import frozen
from convserve.tensors import TensorSpec
from convserve.tilings import TileAxis, TileTrack

from convserve_server.planning.memory import working_bytes
from convserve_server.planning.program import Advisor, Program, work_outputs
from convserve_server.planning.tiling.pieces import Piece, Slice, Slices, reshaped, with_size
from convserve_server.planning.tiling.tracks import Track, find_tracks

Counts: TypeAlias = tuple[int, ...]  # tiles along each axis of a grid


@frozen
class Cut:
    """How a program can be cut along `axis`, into tiles of one size.

    All tiles together have to advance by `periods`, and each by `least` at least: a tile is as long
    as its margins and what it advances by.
    """

    axis: int
    tracks: Mapping[str, Track]
    periods: int
    least: int

    @property
    def most_tiles(self) -> int:
        """The number of tiles where they are the smallest."""
        return -(-self.periods // self.least)

    def length(self, name: str, count: int) -> int:
        """How long a tensor is in each of `count` tiles."""
        track = self.tracks[name]
        return track.length - self.missing(count) * track.period

    def tiles(self, count: int, names: Sequence[str]) -> TileAxis:
        """`count` tiles, with the tracks of such tensors."""
        tracks = (self._tile_track(name, count) for name in names)
        return TileAxis(
            axis=self.axis, count=count, spread=self.missing(count), tracks=tuple(tracks)
        )

    def missing(self, count: int) -> int:
        """By how many periods a tile is shorter than the whole."""
        return self.periods - max(self.least, -(-self.periods // count))

    def _tile_track(self, name: str, count: int) -> TileTrack:
        track = self.tracks[name]
        return TileTrack(
            name=name,
            length=track.length,
            tile_length=self.length(name, count),
            period=track.period,
            low=track.low,
            high=track.high,
        )


@frozen
class Grid:
    """A program that can be cut along several axes at once: each by itself, as axes share nothing.

    Its tiles are the product of those along each axis.
    """

    program: Program
    cuts: tuple[Cut, ...]

    def tile(self, counts: Counts) -> Program:
        """The program of each tile."""
        return reshaped(self.program, lambda spec: self.part_spec(spec, counts))

    def part_spec(self, spec: TensorSpec, counts: Counts) -> TensorSpec:
        """A tensor as each tile has it."""
        for cut, count in zip(self.cuts, counts, strict=True):
            spec = with_size(spec, cut.axis, cut.length(spec.name, count))
        return spec

    def pieces(self, counts: Counts) -> Iterator[Piece]:
        """The tiles in order, the last axis first. Their places in an output make it up."""
        tile = self.tile(counts)
        inputs, outputs = tuple(spec.name for spec in tile.inputs), tile.outputs
        axes = [
            cut.tiles(count, (*inputs, *outputs))
            for cut, count in zip(self.cuts, counts, strict=True)
        ]
        for places in product(*map(range, counts)):
            at = tuple(zip(axes, places, strict=True))
            yield Piece(
                program=tile,
                inputs={name: _held(name, at) for name in inputs},
                outputs={name: _kept(name, at, shift=False) for name in outputs},
                kept={name: _kept(name, at, shift=True) for name in outputs},
            )

    def work_of(self, weights: Mapping[str, int]) -> Callable[[Counts], int]:
        """What all tiles compute together, where a step's name tells the work of one element."""
        groups = Counter[tuple[tuple[int, int], ...]]()
        for step in self.program.steps:
            name = step.output.name
            tracks = [cut.tracks[name] for cut in self.cuts]
            across = step.output.element_count // math.prod(track.length for track in tracks)
            key = tuple((track.length, track.period) for track in tracks)
            groups[key] += across * weights[name]

        def work(counts: Counts) -> int:
            pairs = zip(self.cuts, counts, strict=True)
            missing = [cut.missing(count) for cut, count in pairs]
            return math.prod(counts) * sum(
                each
                * math.prod(
                    length - gone * period
                    for (length, period), gone in zip(key, missing, strict=True)
                )
                for key, each in groups.items()
            )

        return work


def find_cut(program: Program, axis: int) -> Cut | None:
    """How to cut the program along `axis`; None if it cannot be cut there."""
    tracks = find_tracks(program, axis)
    if tracks is None:
        return None
    periods = min(tracks[name].sound_periods for name in program.outputs)
    least = max(1, periods - min(track.spare_periods for track in tracks.values()))
    return Cut(axis, tracks, periods, least) if least < periods else None


def tile_bytes(tile: Program, advisor: Advisor) -> int:
    """The working memory of a tile: with its inputs and results, which may have to be copied."""
    known = advisor.working_bytes(tile)
    if known is not None:
        return known
    copied = sum(spec.byte_count for spec in (*tile.inputs, *work_outputs(tile)))
    return copied + working_bytes(tile, advisor)


def _held(name: str, at: tuple[tuple[TileAxis, int], ...]) -> Slices:
    return tuple(Slice(axis.axis, *axis.held(axis.track(name), place)) for axis, place in at)


def _kept(name: str, at: tuple[tuple[TileAxis, int], ...], *, shift: bool) -> Slices:
    """What tiles keep of a result: in the whole's numbers, or shifted to the tile's own."""
    slices = []
    for axis, place in at:
        track = axis.track(name)
        start, stop = axis.kept(track, place)
        begin = axis.held(track, place)[0] if shift else 0
        slices.append(Slice(axis.axis, start - begin, stop - begin))
    return tuple(slices)
