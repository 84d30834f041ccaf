"""How work is split and joined: ranges, margins and sizes, by hand."""

from __future__ import annotations

import pytest
from convserve import layers as cs
from convserve.layers import Layer
from convserve.networks import Network
from convserve.operations import Convolve
from convserve.tensors import TensorSpec
from convserve_server.planning.planner import compile_network, plan_operation
from convserve_server.planning.tiling import (
    is_row_separable,
    rebatched,
)
from convserve_server.planning.tiling.batches import MAX_BLOCKS, even_ranges, row_blocks
from convserve_server.planning.tiling.tracks import Track, find_tracks

from tests.planning import plan


def program_of(work, *shapes, dtype="float32"):
    """The program of a network or a chain, with the weights that it needs."""
    network = work if isinstance(work, Network) else Network(work)
    weights = [
        spec for layer in plan(network, *shapes, dtype=dtype).layers for spec in layer.parameters
    ]
    inputs = [
        TensorSpec(name, dtype, shape) for name, shape in zip(network.inputs, shapes, strict=True)
    ]
    return compile_network(network, [*inputs, *weights])


def track(layer: Layer, *shape: int, axis: int = 2) -> Track | None:
    """The track of one layer's result."""
    program = program_of([layer], shape)
    tracks = find_tracks(program, axis)
    return None if tracks is None else tracks[program.outputs[0]]


def residual() -> Network:
    return Network(
        [
            cs.ReLU(name="x"),
            cs.Conv(2, 3, padding=1, name="a"),
            cs.Conv(2, 3, padding=1, name="b"),
            cs.Add(name="sum", inputs=("x", "b")),
        ]
    )


def test_another_batch_is_the_program_compiled_for_it():
    assert rebatched(program_of(residual(), (8, 2, 5, 5)), 3) == program_of(
        residual(), (3, 2, 5, 5)
    )
    assert rebatched(program_of([cs.Flatten(), cs.Dense(4)], (2, 3, 3)), 0) == program_of(
        [cs.Flatten(), cs.Dense(4)], (0, 3, 3)
    )


def test_ranges_are_equal_but_for_one_and_longer_first():
    assert even_ranges(10, 4) == ((0, 3), (3, 6), (6, 8), (8, 10))
    assert even_ranges(3, 3) == ((0, 1), (1, 2), (2, 3))


def test_blocks_have_about_so_many_bytes_of_inputs_and_outputs():
    program = program_of([cs.ReLU()], (10, 1, 25))  # 100 bytes in and 100 out per row
    assert row_blocks(program, 600) == ((0, 3), (3, 6), (6, 8), (8, 10))
    assert row_blocks(program, 1) == tuple((row, row + 1) for row in range(10))


def test_fewer_than_two_blocks_are_none():
    program = program_of([cs.ReLU()], (10, 1, 25))
    assert row_blocks(program, 2000) == ()
    assert len(row_blocks(rebatched(program, 1 << 30), 1)) == MAX_BLOCKS
    assert row_blocks(rebatched(program, 0), 1) == ()
    assert row_blocks(rebatched(program, 1), 1) == ()


def test_rows_of_a_program_are_separable_but_for_integer_sums():
    assert is_row_separable(program_of(residual(), (2, 2, 5, 5)))
    assert is_row_separable(program_of([cs.MaxPool(2)], (2, 2, 4), dtype="int8"))
    for layer in (cs.Conv(1, 1), cs.DepthwiseConv(1), cs.IntegerConv(1, 1)):
        assert not is_row_separable(program_of([layer], (2, 2, 4), dtype="int8"))
    assert is_row_separable(program_of([cs.QuantizedConv(1, 1)], (2, 2, 4), dtype="int8"))


def test_operations_are_not_separable():
    signals = [TensorSpec(name, "float32", (9,)) for name in ("a", "v")]
    assert not is_row_separable(plan_operation(Convolve(), signals))


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        # period 1: each shift of the input by one is one of the result; margins as the padding
        (cs.Conv(1, 3, padding=1), (1, 1, 10), Track(10, 1, 1, 1)),
        (cs.Conv(1, 3), (1, 1, 10), Track(8, 1, 0, 0)),
        (cs.Conv(1, 3, padding=((3, 1),), dilation=2), (1, 1, 10), Track(10, 1, 3, 1)),
        # windows at -1, 1, 3, 5, 7: the last reads 7 to 9, the end of 10 but one behind 9
        (cs.Conv(1, 3, stride=2, padding=1), (1, 1, 10), Track(5, 1, 1, 0)),
        (cs.Conv(1, 3, stride=2, padding=1), (1, 1, 9), Track(5, 1, 1, 1)),
        (cs.MaxPool(2, ceil_mode=True), (1, 1, 9), Track(5, 1, 0, 1)),
        (cs.AvgPool(3, 2, 1, ceil_mode=True), (1, 1, 10), Track(6, 1, 1, 1)),
        # x[-1] would add to y[0] only: of its taps at -2, -1, 0 the last is inside
        (cs.ConvTranspose(1, 3, 2), (1, 1, 5), Track(11, 2, 1, 1)),
        (cs.ConvTranspose(1, 4, 2, padding=1), (1, 1, 5), Track(10, 2, 1, 1)),
        (cs.Upsample(3), (1, 1, 4), Track(12, 3)),
        (cs.PixelShuffle(2), (1, 2, 4), Track(8, 2)),
        (cs.PixelUnshuffle(2), (1, 1, 8), Track(4, 1)),
        (cs.Pad(((2, 3),)), (1, 1, 8), Track(13, 1, 2, 3)),
        (cs.Pad(2, "replicate"), (1, 1, 8), Track(12, 1, 2, 2)),
        (cs.DepthwiseConv(3, 2, 1), (1, 1, 10), Track(5, 1, 1, 0)),
        (cs.SeparableConv(1, 3, padding=1), (1, 1, 10), Track(10, 1, 1, 1)),
        # two neighbours share a window: two of them are wrong at each end
        (cs.SubPixelConv(1, 3, 2, padding=1), (1, 1, 10), Track(20, 2, 2, 2)),
        (cs.LocalResponseNorm(3), (1, 4, 8), Track(8, 1)),
        (cs.Scale(), (1, 4, 8), Track(8, 1)),
        (cs.LpPool(2, ceil_mode=True), (1, 1, 9), Track(5, 1, 0, 1)),
        (cs.AvgPool(3, 1, 1, dilation=2), (1, 1, 10), Track(8, 1, 1, 1)),
        (cs.Upsample(2, coordinates="asymmetric"), (1, 1, 4), Track(8, 2)),
        (cs.Clip(0.0), (1, 1, 8), Track(8, 1)),
        (cs.PReLU(), (1, 1, 8), Track(8, 1)),
        (cs.Slice(1, 1), (1, 4, 8), Track(8, 1)),
        (cs.ReduceMean(1), (1, 4, 8), Track(8, 1)),
        (cs.BatchNorm(), (1, 1, 8), Track(8, 1)),
        (cs.Softmax(), (1, 1, 8), Track(8, 1)),
    ],
)
def test_margins_are_what_would_see_beyond_the_tile(layer, shape, expected):
    assert track(layer, *shape) == expected


@pytest.mark.parametrize(
    "layer",
    [
        cs.GlobalAvgPool(),
        cs.GlobalMaxPool(),
        cs.Flatten(),
        cs.Pad(1, "circular"),
        cs.Conv(1, 3, padding=1, padding_mode="circular"),
        cs.DepthwiseConv(3, padding=1, padding_mode="circular"),
        cs.SubPixelConv(1, 3, 2, stride=2),  # half an element of the result for each of the input
        cs.LayerNorm(),
        cs.GroupNorm(1),
        cs.InstanceNorm(),
        cs.GraphConv(3),
        cs.Unfold(3),
        cs.Fold(8, 1),
        cs.AdaptiveAvgPool(4),
        cs.AdaptiveMaxPool(4),
        cs.PyramidPool((1, 2)),
        cs.Upsample(2, "linear"),
        cs.Upsample(2, "linear", True),
        cs.Upsample(size=16),
        cs.Upsample(2, coordinates="half_pixel"),
        cs.MaxPoolIndices(2),
        cs.Permute((2, 1)),
        cs.Reshape((8, 1)),
        cs.Reshape((1, 8)),
        cs.Slice(2, 1),
        cs.Slice(2, step=2),
        cs.ReduceMean(2),
        cs.ReduceMax((1, 2)),
        cs.ReduceSum(-1, False),
        cs.GlobalLpPool(),
        cs.Softmax(2),
        cs.Dense(4),
    ],
)
def test_what_sees_the_whole_axis_is_not_cut(layer):
    assert track(layer, 1, 1, 8) is None


def join(layer: Layer, *shapes: tuple[int, ...], axis: int) -> Track | None:
    """The track of what reads several inputs."""
    program = program_of(Network([layer], inputs=("x", "y")), *shapes)
    tracks = find_tracks(program, axis)
    return None if tracks is None else tracks[program.outputs[0]]


@pytest.mark.parametrize("kind", [cs.Add, cs.Mul, cs.Sub, cs.Div])
def test_joins_are_cut_where_nothing_is_repeated(kind):
    layer = kind(inputs=("x", "y"))
    assert join(layer, (1, 2, 8, 6), (1, 2, 8, 1), axis=2) == Track(8, 1)
    assert join(layer, (1, 2, 8, 6), (1, 2, 8, 1), axis=3) is None
    assert join(layer, (1, 2, 8, 6), (1, 1, 8, 6), axis=3) == Track(6, 1)


def test_neither_the_joined_axis_nor_indices_are_cut():
    beside = cs.Concat(axis=2, inputs=("x", "y"))
    assert join(beside, (1, 2, 8, 6), (1, 2, 8, 6), axis=2) is None
    assert join(beside, (1, 2, 8, 6), (1, 2, 8, 6), axis=3) == Track(6, 1)
    network = Network(
        [
            cs.MaxPool(2, name="v", inputs="input"),
            cs.MaxPoolIndices(2, name="i", inputs="input"),
            cs.MaxUnpool(2, inputs=("v", "i")),
        ]
    )
    program = program_of(network, (1, 1, 8))
    assert find_tracks(program, 2) is None
    assert not is_row_separable(program)  # a wrong index of one row would refuse the others


def test_an_axis_that_stays_in_its_place_is_cut():
    assert track(cs.Permute((1, 3, 2)), 1, 2, 8, 6) is None
    assert track(cs.Permute((3, 2, 1)), 1, 2, 8, 6) == Track(8, 1)
    assert track(cs.AdaptiveAvgPool((4, 6)), 1, 2, 8, 6, axis=3) is None
    assert track(cs.ReduceMax(3), 1, 2, 8, 6) == Track(8, 1)


def test_what_reads_at_offsets_is_not_cut():
    network = Network([cs.DeformConv(1, 3, padding=1, inputs=("x", "o"))], inputs=("x", "o"))
    program = program_of(network, (2, 1, 8, 8), (2, 18, 8, 8))
    assert find_tracks(program, 2) is None
    assert is_row_separable(program)


def test_a_circular_border_concerns_its_own_axis():
    layer = cs.Conv(1, (1, 3), padding=((0, 0), (1, 1)), padding_mode="circular")
    assert track(layer, 1, 1, 8, 8, axis=2) == Track(8, 1)
    assert track(layer, 1, 1, 8, 8, axis=3) is None


def test_strides_make_the_input_shift_by_whole_periods():
    tracks = find_tracks(program_of([cs.MaxPool(2), cs.MaxPool(3), cs.Upsample(2)], (1, 1, 36)), 2)
    assert tracks == {
        "input": Track(36, 6),
        "max_pool1": Track(18, 3),
        "max_pool2": Track(6, 1),
        "upsample1": Track(12, 2),
    }


def test_margins_grow_along_a_path_and_joins_take_the_largest():
    tracks = find_tracks(program_of(residual(), (1, 2, 12, 12)), 2)
    assert [tracks[name].low for name in ("x", "a", "b", "sum")] == [0, 1, 2, 2]


def test_what_is_mirrored_or_repeated_must_be_right():
    conv = cs.Conv(1, 3, padding=((1, 2),))  # its margins, which must not reach the other end
    for pad, least in ((cs.Pad(0, "replicate"), 3), (cs.Pad(((3, 4),), "reflect"), 6)):
        tracks = find_tracks(program_of([conv, pad], (1, 1, 20)), 2)
        assert (tracks["input"].least, tracks["conv1"].least) == (1, least)


def test_inputs_that_are_joined_shift_together():
    network = Network(
        [
            cs.MaxPool(2, name="half", inputs="full"),
            cs.Concat(name="both", inputs=("half", "small")),
        ],
        inputs=("small", "full"),
    )
    tracks = find_tracks(program_of(network, (1, 1, 8), (1, 1, 16)), 2)
    assert (tracks["small"].period, tracks["full"].period) == (1, 2)


def test_branches_that_shrink_differently_are_not_cut():
    network = Network(
        [
            cs.MaxPool(2, name="a", inputs="input"),
            cs.Conv(1, 5, name="b", inputs="input"),
            cs.Add(inputs=("a", "b")),
        ]
    )
    assert find_tracks(program_of(network, (1, 1, 8)), 2) is None


def test_inputs_that_never_meet_are_not_cut():
    network = Network(
        [cs.ReLU(name="a", inputs="x"), cs.ReLU(name="b", inputs="y")], inputs=("x", "y")
    )
    assert find_tracks(program_of(network, (1, 1, 8), (1, 1, 8)), 2) is None
