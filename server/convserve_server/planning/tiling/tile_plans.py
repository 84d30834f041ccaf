"""How a network is run in tiles that fit a memory limit: the planner's view of tiling."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from attrs import evolve, frozen
from convserve.errors import InvalidArgumentError, TooLargeError
from convserve.networks import Network
from convserve.tensors import TensorSpec
from convserve.tilings import TileAxis, TilePlan

from convserve_server.planning.graph import Node, Sample, steps_of, walk
from convserve_server.planning.inputs import CHANNELS_FIRST, name_inputs, read_inputs
from convserve_server.planning.needs import Needs
from convserve_server.planning.program import Advisor, Program, work_outputs
from convserve_server.planning.tiling.batches import rebatched
from convserve_server.planning.tiling.choosing import choose_counts, ladders_of
from convserve_server.planning.tiling.grid import Counts, Grid, find_cut
from convserve_server.planning.tiling.tracks import find_obstacle, find_padding

MAX_TILES = 2**40  # of one row; nobody lists them


def plan_tiles(
    network: Network,
    inputs: Sequence[TensorSpec],
    memory_bytes: int,
    *,
    advisor: Advisor,
    axes: Sequence[int] = (),
    layers: bool = False,
) -> TilePlan:
    """The tiles of one size with the least work that is done again, whose peak is in the limit.

    The peak is that of a plan for the tile's inputs, weights included. Inputs are channels first.
    `axes` are those that may be cut, numbered as a tensor's; none are all spatial ones. `layers`
    asks for the tracks of all layers. Allocates nothing, and lists no tile.

    Raises TooLargeError where the smallest tiles need more, and what `plan_network` raises.
    """
    specs = name_inputs(network, inputs)
    given = read_inputs(specs, CHANNELS_FIRST, "inputs")
    _check_memory(memory_bytes)
    row = _Row(network, tuple(given.samples.values()), advisor)
    wanted = _read_axes(axes, len(specs[0].shape))
    cuts = tuple(cut for axis in wanted if (cut := find_cut(row.program, axis)))
    left = [axis for axis in wanted if axis not in {cut.axis for cut in cuts}]
    notes = tuple(_note(row.program, axis) for axis in left)
    grid = Grid(row.program, cuts)
    choice = _choose(row, grid, memory_bytes)
    if choice.tile.peak_bytes > memory_bytes:
        raise _too_large(row, choice, memory_bytes, notes)
    names = tuple(spec.name for spec in row.program.inputs)
    names += tuple(n.output.name for n in row.nodes) if layers else network.outputs
    return TilePlan(
        inputs=specs,
        outputs=work_outputs(rebatched(row.program, given.batch)),
        tile_inputs=choice.tile.program.inputs,
        tile_outputs=work_outputs(choice.tile.program),
        axes=choice.axes(names),
        memory_limit_bytes=memory_bytes,
        peak_memory_bytes=choice.tile.peak_bytes,
        row_memory_bytes=row.peak_bytes,
        flop_count=choice.tile.flop_count,
        row_flop_count=row.flop_count,
        notes=notes,
    )


@frozen(slots=False, eq=False)
class _Row:
    """The network for one row of such inputs."""

    network: Network
    samples: tuple[Sample, ...]
    advisor: Advisor

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        return walk(self.network, {sample.name: sample for sample in self.samples}, 1)

    @cached_property
    def program(self) -> Program:
        return Program(
            inputs=tuple(sample.spec(1) for sample in self.samples),
            steps=steps_of(self.nodes, 1),
            outputs=self.network.outputs,
        )

    @cached_property
    def peak_bytes(self) -> int:
        samples = {sample.name: sample for sample in self.samples}
        needs = Needs(self.nodes, samples, self.network.outputs, self.advisor, "", 1)
        return needs.peak.byte_count(1)

    @property
    def flop_count(self) -> int:
        return sum(node.flop_count for node in self.nodes)

    def part(self, grid: Grid, counts: Counts) -> _Row:
        """What each tile of the grid is."""
        specs = (grid.part_spec(spec, counts) for spec in self.program.inputs)
        samples = tuple(Sample(spec.name, spec.dtype, spec.shape[1:]) for spec in specs)
        return evolve(self, samples=samples)


@frozen
class _Choice:
    """A grid in so many tiles, and one of them."""

    grid: Grid
    counts: Counts
    tile: _Row

    def axes(self, names: Sequence[str]) -> tuple[TileAxis, ...]:
        """Those that are cut, with the tracks of such tensors."""
        pairs = zip(self.grid.cuts, self.counts, strict=True)
        return tuple(
            _padded(cut.tiles(count, names), self.grid.program) for cut, count in pairs if count > 1
        )


def _choose(row: _Row, grid: Grid, memory_bytes: int) -> _Choice:
    tiles: dict[Counts, _Row] = {}

    def tile(counts: Counts) -> _Row:
        if counts not in tiles:
            tiles[counts] = row.part(grid, counts) if any(n > 1 for n in counts) else row
        return tiles[counts]

    work = grid.work_of({node.output.name: _work_per_element(node) for node in row.nodes})
    counts = choose_counts(
        ladders_of(grid.cuts),
        work,
        lambda counts: tile(counts).peak_bytes <= memory_bytes,
        MAX_TILES,
    )
    return _Choice(grid, counts, tile(counts))


def _work_per_element(node: Node) -> int:
    """FLOPs for one element of a result, and 1 for writing it, so that nothing is free."""
    return 1 + node.flop_count // node.output.spec(1).element_count


def _padded(axis: TileAxis, program: Program) -> TileAxis:
    padding = find_padding(program, axis.axis)
    tracks = (
        evolve(track, padding_low=padding[track.name][0], padding_high=padding[track.name][1])
        if track.name in padding
        else track
        for track in axis.tracks
    )
    return evolve(axis, tracks=tuple(tracks))


def _read_axes(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    for position, axis in enumerate(axes):
        if not 2 <= axis < rank or axis in axes[:position]:
            raise InvalidArgumentError(
                f"{axis} is no spatial axis of an input of rank {rank}, or is named twice; use "
                f"2 to {rank - 1}",
                field=f"axes[{position}]",
                metadata={"value": axis, "limit": rank - 1},
            )
    return tuple(sorted(axes)) or tuple(range(2, rank))


def _check_memory(memory_bytes: int) -> None:
    if memory_bytes < 1:
        raise InvalidArgumentError(
            f"{memory_bytes} bytes are no memory; give what a tile may need, from 1 on",
            field="memory_limit_bytes",
            metadata={"value": memory_bytes, "limit": 1},
        )


def _note(program: Program, axis: int) -> str:
    reason = find_obstacle(program, axis) or "it is too short, or what is joined does not stay so"
    return f"axis {axis} is not cut: {reason}"


def _too_large(
    row: _Row, choice: _Choice, memory_bytes: int, notes: Sequence[str]
) -> TooLargeError:
    reached, weights = choice.tile.peak_bytes, sum(node.weight_bytes for node in row.nodes)
    return TooLargeError(
        f"a row needs {row.peak_bytes} bytes, {weights} of them for weights; the smallest tiles "
        f"that were tried need {reached}, and the limit is {memory_bytes}; allow more, or more "
        f"axes{''.join(f'; {note}' for note in notes)}",
        field="memory_limit_bytes",
        metadata={
            "planned_bytes": row.peak_bytes,
            "tile_bytes": reached,
            "limit_bytes": memory_bytes,
        },
    )
