"""A network run tile by tile, as its plan of tiles says, is the network run at once, bit by bit."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from contextlib import suppress

import numpy as np
import pytest
from attrs import evolve, frozen
from convserve.errors import ConvserveError, DTypeError, TooLargeError
from convserve.networks import Network
from convserve.tensors import Array, Shape, TensorSpec, spec_of
from convserve.tilings import TilePlan
from convserve_server.engines import load_advisor, load_engine
from convserve_server.planning.planner import compile_network, plan_network
from convserve_server.planning.tiling.tile_plans import plan_tiles

from tests.planning import plan
from tests.properties.random_networks import random_network
from tests.tiling import run_whole

SEEDS = {1: range(50), 2: range(100, 180), 3: range(200, 260)}  # by the number of spatial axes
SHARES = (2, 4, 10, 40)  # of the memory that a row needs
MORE = 12  # elements along each of three axes; a multiple of most networks' strides
MOST_TILES = 100  # of one network, for the test's sake
UPSAMPLING = {"conv_transpose", "pixel_shuffle", "sub_pixel_conv", "upsample"}

ADVISOR = load_advisor("reference")
ENGINE = load_engine("reference")


@frozen(eq=False)
class Draw:
    """A random network with its weights and input, and its tiles for a random limit."""

    network: Network
    tensors: Mapping[str, Array]
    tiles: TilePlan

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return len(self.tiles.inputs[0].shape) - 2

    def run(self, x: Array) -> dict[str, Array]:
        """The network on some input, planned afresh: nothing of the whole's plan is used."""
        tensors = {**self.tensors, "input": x}
        specs = [spec_of(name, tensor) for name, tensor in tensors.items()]
        return run_whole(ENGINE, compile_network(self.network, specs), tensors)

    def run_tiles(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """The outputs, stitched, and how often each of their elements was written."""
        x = self.tensors["input"]
        made = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in self.tiles.outputs}
        writes = {spec.name: np.zeros(spec.shape, np.int64) for spec in self.tiles.outputs}
        for tile in self.tiles.tiles():
            for name, result in self.run(x[tile.input()]).items():
                made[name][tile.output(name)] = result[tile.kept(name)]
                writes[name][tile.output(name)] += 1
        return made, writes


def draw(
    rank: int, seed: int, dtype: str, *, every_layer: bool = False, fractions: bool = False
) -> Draw:
    rng, values = random.Random(seed), np.random.default_rng(seed)
    network, shape = random_network(rng, rank)
    shape = larger(network, shape) if rank == 3 else shape
    if every_layer:
        names = tuple(str(layer.name) for layer in network.layers)
        network = evolve(network, outputs=names)

    def array(shape: Shape, limit: int) -> Array:
        if fractions:
            return values.standard_normal(shape)
        return values.integers(-limit, limit + 1, shape).astype(dtype)

    specs = [
        spec for layer in plan(network, shape, dtype=dtype).layers for spec in layer.parameters
    ]
    weights = {spec.name: array(spec.shape, 1) for spec in specs}
    for name, weight in weights.items():
        if name.endswith("running_var"):
            np.abs(weight, out=weight)
    spec = TensorSpec("input", dtype, shape)
    return Draw(network, {"input": array(shape, 9), **weights}, tiles_of(network, spec, rng))


def larger(network: Network, shape: Shape) -> Shape:
    """Room for several tiles along each axis, if the network takes it."""
    roomy = (*shape[:2], *(size + MORE for size in shape[2:]))
    try:
        plan(network, roomy)
    except ConvserveError:
        return shape
    return roomy


def tiles_of(network: Network, spec: TensorSpec, rng: random.Random) -> TilePlan:
    """For a share of the memory, or the least for which there are tiles."""

    def tiles(limit: int) -> TilePlan:
        return plan_tiles(network, [spec], limit, advisor=ADVISOR, layers=True)

    limit = tiles(1 << 40).row_memory_bytes
    try:
        found = tiles(limit // rng.choice(SHARES))
    except TooLargeError as error:
        found = tiles(int(error.metadata["tile_bytes"]))
    while found.tile_count > MOST_TILES:
        found = tiles(2 * found.memory_limit_bytes)
    return found


def assert_tiled_equals_whole(case: Draw, tolerance: float = 0.0) -> None:
    made, writes = case.run_tiles()
    for name, whole in case.run(case.tensors["input"]).items():
        np.testing.assert_array_equal(writes[name], 1, err_msg=str(case.network))
        np.testing.assert_allclose(
            made[name], whole, rtol=0, atol=tolerance, err_msg=str(case.network)
        )


def count_cut_along_all(cases: Iterable[Draw], rank: int) -> int:
    return sum(len(case.tiles.axes) == rank for case in cases)


@pytest.fixture(scope="module")
def draws() -> list[Draw]:
    return [draw(rank, seed, "float64") for rank, seeds in SEEDS.items() for seed in seeds]


@pytest.mark.parametrize("rank", SEEDS)
def test_tiled_equals_untiled_in_float64(draws, rank):
    """Values that sums are exact of: the order of the terms, which may differ, does not matter."""
    cases = [case for case in draws if case.rank == rank]
    for case in cases:
        assert_tiled_equals_whole(case)
    assert count_cut_along_all(cases, rank) > len(cases) // 4


@pytest.mark.parametrize("rank", SEEDS)
def test_tiled_equals_untiled_in_integers(rank):
    cases = []
    for seed in SEEDS[rank]:
        with suppress(DTypeError):  # some layers make fractions
            cases.append(draw(rank, seed, "int64"))
    for case in cases:
        assert_tiled_equals_whole(case)
    assert count_cut_along_all(cases, rank) > 3


@pytest.mark.parametrize("rank", SEEDS)
def test_tiled_is_close_to_untiled_where_sums_round(rank):
    for seed in SEEDS[rank][::4]:
        case = draw(rank, seed, "float64", fractions=True)
        assert_tiled_equals_whole(case, tolerance=1e-11)


def test_a_tile_needs_what_its_plan_says(draws):
    for case in draws[::4]:
        tiles = case.tiles
        own = plan_network(case.network, tiles.tile_inputs, advisor=ADVISOR)
        assert own.outputs == tiles.tile_outputs
        assert own.peak_memory_bytes == tiles.peak_memory_bytes <= tiles.memory_limit_bytes
        assert own.flop_count == tiles.flop_count


def test_a_tile_reads_inside_the_input(draws):
    for case in draws:
        (spec,) = case.tiles.inputs
        whole = np.empty(spec.shape, bool)
        for tile in case.tiles.tiles():
            assert whole[tile.input()].shape == case.tiles.tile_inputs[0].shape


def test_what_is_right_in_a_tile_is_as_in_the_whole():
    """For every layer, not only the last one."""
    margins = 0
    for rank, seed in [(rank, seed) for rank, seeds in SEEDS.items() for seed in seeds[::6]]:
        case = draw(rank, seed, "float64", every_layer=True)
        wholes = case.run(case.tensors["input"])
        for tile in case.tiles.tiles():
            results = case.run(case.tensors["input"][tile.input()])
            for name, result in results.items():
                whole = wholes[name][tile.row : tile.row + 1]
                for axis, (held, right) in zip(case.tiles.axes, tile.layer(name), strict=True):
                    start, stop = (bound - held[0] for bound in right)
                    result = np.take(result, range(start, stop), axis.axis)
                    whole = np.take(whole, range(*right), axis.axis)
                    margins += held != right
                np.testing.assert_array_equal(result, whole, err_msg=f"seed {seed}, {name}")
    assert margins


def test_padding_is_what_the_receptive_field_says(draws):
    compared = 0
    for case in draws:
        planned = plan_network(case.network, case.tiles.inputs, advisor=ADVISOR)
        field = planned.receptive_field
        if UPSAMPLING & {layer.kind for layer in planned.layers}:
            continue
        first, last = case.tiles.tile(0), case.tiles.tile(case.tiles.tile_count - 1)
        pairs = zip(case.tiles.axes, first.padding(), last.padding(), strict=True)
        for axis, (low, _), (_, high) in pairs:
            at, length = axis.axis - 2, planned.outputs[0].shape[axis.axis]
            stop = field.start[at] + (length - 1) * field.jump[at] + field.size[at]
            assert low == max(0, -field.start[at])
            assert high == max(0, stop - planned.inputs[0].shape[axis.axis])
            compared += 1
    assert compared > 50
