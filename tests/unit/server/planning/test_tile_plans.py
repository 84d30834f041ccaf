"""Plans of tiles by hand, and which grid they take. float32: 4 bytes."""

from __future__ import annotations

from itertools import islice, product
from math import ceil

import pytest
from convserve import layers as cs
from convserve.errors import InvalidArgumentError, TooLargeError
from convserve.layers import Layer
from convserve.networks import Network
from convserve.tensors import TensorSpec
from convserve.tilings import TilePlan
from convserve_server.planning.tiling.choosing import choose_counts, ladders_of
from convserve_server.planning.tiling.grid import Cut
from convserve_server.planning.tiling.tile_plans import plan_tiles
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planning import FixedAdvisor, plan

POOLS = [cs.MaxPool(3, 1, 1, name="a"), cs.MaxPool(3, 1, 1, name="b")]  # a margin of 2
POOLS_BYTES = 2 * 4  # for each element of a tile: input and a, or a and b


def tiles(work: list[Layer] | Network, shape: tuple[int, ...], limit: int, **options) -> TilePlan:
    network = work if isinstance(work, Network) else Network(work)
    spec = TensorSpec("", "float32", shape)
    return plan_tiles(network, [spec], limit, advisor=FixedAdvisor(), **options)


def test_what_fits_is_one_tile_for_each_row():
    planned = tiles(POOLS, (3, 1, 100), 100 * POOLS_BYTES)
    assert planned.axes == ()
    assert planned.tile_count == 3
    assert planned.peak_memory_bytes == planned.row_memory_bytes == 800
    assert planned.recomputed_share == 0
    assert planned.tile(2).input() == (slice(2, 3), slice(None), slice(None))
    assert planned.tile(2).kept() == (slice(0, 1), slice(None), slice(None))


def test_ranges_halos_and_padding():
    # 96 sound elements; 4 tiles advance by 24 and have 2 + 2 more; they start 72 / 3 = 24 apart
    planned = tiles(POOLS, (1, 1, 100), 28 * POOLS_BYTES)
    parts = list(planned.tiles())
    assert [tile.input()[2] for tile in parts] == [
        slice(0, 28), slice(24, 52), slice(48, 76), slice(72, 100)
    ]  # fmt: skip
    assert [tile.output()[2] for tile in parts] == [
        slice(0, 26), slice(26, 50), slice(50, 74), slice(74, 100)
    ]  # fmt: skip
    assert [tile.kept()[2] for tile in parts] == [
        slice(0, 26), slice(2, 26), slice(2, 26), slice(2, 28)
    ]  # fmt: skip
    assert [tile.halo() for tile in parts] == [((0, 4),), ((4, 4),), ((4, 4),), ((4, 0),)]
    assert [tile.padding() for tile in parts] == [((2, 0),), ((0, 0),), ((0, 0),), ((0, 2),)]
    assert planned.recomputed_share == pytest.approx(4 * 28 / 100 - 1)
    assert [tile.recomputed_share for tile in parts] == pytest.approx(
        [1 - 26 / 28, 1 - 24 / 28, 1 - 24 / 28, 1 - 26 / 28]
    )


def test_ranges_of_every_layer_on_request():
    planned = tiles(POOLS, (1, 1, 100), 28 * POOLS_BYTES, layers=True)
    assert planned.tile(1).layer("a") == (((24, 52), (25, 51)),)
    assert planned.tile(0).layer("b") == (((0, 28), (0, 26)),)
    with pytest.raises(KeyError):
        tiles(POOLS, (1, 1, 100), 28 * POOLS_BYTES).tile(0).layer("a")


def test_axes_are_cut_together_where_that_costs_less():
    planned = tiles(POOLS, (1, 1, 100, 100), 900 * POOLS_BYTES)
    assert [axis.axis for axis in planned.axes] == [2, 3]
    assert planned.tile_outputs[0].shape[2:] == planned.tile_inputs[0].shape[2:]
    best = min(
        (rows * columns * (4 + ceil(96 / rows)) * (4 + ceil(96 / columns)), rows * columns)
        for rows, columns in product(range(1, 33), repeat=2)
        if (4 + ceil(96 / rows)) * (4 + ceil(96 / columns)) <= 900
    )
    height, width = planned.tile_inputs[0].shape[2:]
    assert (planned.tile_count * height * width, planned.tile_count) == best


def test_only_the_axes_that_are_named_are_cut():
    planned = tiles(POOLS, (1, 1, 100, 100, 100), 200_000 * POOLS_BYTES, axes=(3,))
    assert [axis.axis for axis in planned.axes] == [3]
    assert planned.tile_inputs[0].shape[2:][::2] == (100, 100)


def test_an_axis_without_windows_is_cut_first():
    layers = [cs.MaxPool((1, 3), 1, ((0, 0), (1, 1)))]
    planned = tiles(layers, (1, 1, 100, 100), 1000 * POOLS_BYTES)
    assert [axis.axis for axis in planned.axes] == [2]
    assert planned.recomputed_share == 0


def test_weights_count():
    network = Network([cs.Conv(1, 3, padding=1, bias=False)])
    weight_bytes = plan(network, (1, 1, 100)).weight_bytes
    assert weight_bytes == 12
    assert tiles(network, (1, 1, 100), 400 + weight_bytes).tile_inputs[0].shape[2] <= 50


def test_a_network_that_cannot_be_cut_says_why():
    network = Network([cs.Conv(4, 3), cs.GlobalAvgPool(name="mean"), cs.Flatten(), cs.Dense(2)])
    planned = tiles(network, (1, 1, 20, 20), 1 << 20)
    assert planned.axes == ()
    assert len(planned.notes) == 2
    assert planned.notes[0].startswith("axis 2 is not cut: mean sees all of it")
    with pytest.raises(TooLargeError, match="the limit is 100;") as caught:
        tiles(network, (1, 1, 20, 20), 100)
    assert caught.value.field == "memory_limit_bytes"
    assert "mean sees all of it" in str(caught.value)


def test_a_limit_below_the_smallest_tiles_is_refused_with_both_numbers():
    with pytest.raises(TooLargeError) as caught:
        tiles(POOLS, (1, 1, 100), 39)  # a tile of 1 and its margins has 5 elements
    assert caught.value.metadata["planned_bytes"] == "800"
    assert caught.value.metadata["tile_bytes"] == "40"
    assert caught.value.metadata["limit_bytes"] == "39"
    assert tiles(POOLS, (1, 1, 100), 40).tile_count == 96


@pytest.mark.parametrize("axes", [(1,), (0,), (4,), (-1,), (2, 2)])
def test_axes_that_are_no_spatial_ones_are_refused(axes):
    with pytest.raises(InvalidArgumentError) as caught:
        tiles(POOLS, (1, 1, 9, 9), 1 << 20, axes=axes)
    assert caught.value.field == f"axes[{len(axes) - 1}]"


@pytest.mark.parametrize("limit", [0, -1])
def test_no_memory_is_refused(limit):
    with pytest.raises(InvalidArgumentError) as caught:
        tiles(POOLS, (1, 1, 9), limit)
    assert caught.value.field == "memory_limit_bytes"


def test_tiles_are_made_when_they_are_asked_for():
    planned = tiles(POOLS, (1000, 1, 1 << 20, 1 << 20), 100 * POOLS_BYTES)
    assert planned.tile_count > 10**13
    assert next(planned.tiles()).places == (0, 0)
    last = planned.tile(planned.tile_count - 1)
    assert last.input()[3].stop == 1 << 20
    assert last.row == 999
    first = list(islice(planned.tiles(), 5))
    assert first == [planned.tile(index) for index in range(5)]
    with pytest.raises(IndexError):
        planned.tile(planned.tile_count)


def test_a_batch_that_is_not_known_is_planned_for_one_row():
    planned = tiles(POOLS, (-1, 1, 100), 28 * POOLS_BYTES)
    assert planned.tile_count == 4
    assert planned.inputs[0].is_symbolic
    assert planned.tile_inputs[0].shape == (1, 1, 28)


def test_several_inputs_and_outputs_have_names():
    network = Network(
        [
            cs.Conv(2, 3, padding=1, name="a", inputs="x"),
            cs.Add(name="sum", inputs=("a", "y")),
            cs.MaxPool(2, name="half", inputs="sum"),
        ],
        inputs=("x", "y"),
        outputs=("sum", "half"),
    )
    specs = [TensorSpec("x", "float32", (1, 1, 64)), TensorSpec("y", "float32", (1, 2, 64))]
    planned = plan_tiles(network, specs, 500, advisor=FixedAdvisor())
    for tile in planned.tiles():
        whole, half = tile.output("sum")[2], tile.output("half")[2]
        assert tile.input("x") == tile.input("y")
        assert half.stop <= 32
        assert whole.stop <= 64
        with pytest.raises(KeyError):
            tile.input()
        with pytest.raises(KeyError):
            tile.output("nobody")
    assert planned.tile_count > 1


def test_the_table_shows_each_tensor_along_each_axis():
    text = str(tiles(POOLS, (2, 1, 100), 28 * POOLS_BYTES))
    assert text.startswith("4 tiles of (1, 1, 28), 2 rows one by one: 224 B each of at most 224 B")
    assert "12.0% of the work is done again" in text
    assert "26, 24, 26" in text
    assert [line.split()[0] for line in text.splitlines()[3:-1]] == ["input", "b"]
    whole = str(tiles(POOLS, (1, 1, 100), 1 << 20))
    assert whole.startswith("1 tile of (1, 1, 100): 800 B each")
    assert "Halo" not in whole


def test_the_table_shows_every_layer_that_was_asked_for():
    text = str(tiles(POOLS, (2, 1, 100), 28 * POOLS_BYTES, layers=True))
    rows = [line.split() for line in text.splitlines()[3:-1]]
    assert [(row[0], row[4]) for row in rows] == [("input", "28"), ("a", "28"), ("b", "28")]


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    lengths=st.lists(st.integers(5, 40), min_size=1, max_size=3),
    margins=st.lists(st.integers(0, 4), min_size=3, max_size=3),
    share=st.floats(0.01, 1),
)
def test_no_grid_that_fits_has_less_work(lengths, margins, share):
    cuts = [Cut(axis, {}, length, 1) for axis, length in enumerate(lengths)]

    def size(counts: tuple[int, ...]) -> int:
        made = 1
        for length, margin, count in zip(lengths, margins, counts, strict=False):
            made *= ceil(length / count) + margin
        return made

    def work(counts: tuple[int, ...]) -> int:
        tiles = 1
        for count in counts:
            tiles *= count
        return tiles * size(counts)

    ladders = ladders_of(cuts)
    limit = int(share * size((1,) * len(lengths)))
    chosen = choose_counts(ladders, work, lambda counts: size(counts) <= limit, 10**9)
    fitting = [work(counts) for counts in product(*ladders) if size(counts) <= limit]
    if fitting:
        assert size(chosen) <= limit
        assert work(chosen) == min(fitting)
    else:
        assert chosen == tuple(lengths)


def test_a_ladder_has_every_size_of_few_tiles_and_ends_with_the_smallest():
    (short,) = ladders_of([Cut(2, {}, 10, 1)])
    assert short == (1, 2, 3, 4, 5, 10)
    (long,) = ladders_of([Cut(2, {}, 10**9, 3)])
    assert long[:1000] == tuple(range(1, 1001))
    assert long[-1] == ceil(10**9 / 3)
    assert len(long) < 2000
    assert all(len(each) < 400 for each in ladders_of([Cut(2, {}, 10**9, 1)] * 2))
