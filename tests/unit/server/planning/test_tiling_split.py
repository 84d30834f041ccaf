"""Which pieces a split makes, by hand. float32: 4 bytes."""

from __future__ import annotations

from convserve import layers as cs
from convserve.networks import Network
from convserve.operations import Convolve
from convserve.tensors import TensorSpec
from convserve_server.planning.planner import compile_network, plan_operation
from convserve_server.planning.tiling import Slice, rebatched, split

from tests.planning import FixedAdvisor

ADVISOR = FixedAdvisor()
POOLS = [cs.MaxPool(3, 1, 1, name="a"), cs.MaxPool(3, 1, 1, name="b")]  # a margin of 2


def program_of(layers, *shape):
    return compile_network(Network(layers), [TensorSpec("input", "float32", shape)])


def test_what_fits_is_one_piece():
    program = program_of(POOLS, 3, 1, 100)
    found = split(program, ADVISOR, 1200)
    (piece,) = found.pieces
    assert piece.program == program
    assert piece.inputs == {"input": (Slice(0, 0, 3),)}
    assert piece.outputs == {"b": (Slice(0, 0, 3),)}
    assert piece.kept == {"b": ()}
    assert found.working_bytes == 1200


def test_rows_come_first_and_as_equal_as_possible():
    program = program_of(POOLS, 10, 1, 100)  # 400 bytes of intermediates per row
    found = split(program, ADVISOR, 1700)
    assert [piece.inputs["input"] for piece in found.pieces] == [
        (Slice(0, 0, 4),), (Slice(0, 4, 7),), (Slice(0, 7, 10),)
    ]  # fmt: skip
    assert found.pieces[1].program == rebatched(program, 3)
    assert found.working_bytes == 1600


def test_a_row_is_cut_into_tiles_with_what_they_see_around():
    # 96 sound elements. 4 tiles: each advances by 24 and has 2 + 2 more, so 28 of input,
    # intermediate and result; they start 72 / 3 = 24 apart.
    found = split(program_of(POOLS, 1, 1, 100), ADVISOR, 3 * 28 * 4)
    assert [piece.inputs["input"][1] for piece in found.pieces] == [
        Slice(2, 0, 28), Slice(2, 24, 52), Slice(2, 48, 76), Slice(2, 72, 100)
    ]  # fmt: skip
    assert [piece.outputs["b"][1] for piece in found.pieces] == [
        Slice(2, 0, 26), Slice(2, 26, 50), Slice(2, 50, 74), Slice(2, 74, 100)
    ]  # fmt: skip
    assert [piece.kept["b"] for piece in found.pieces] == [
        (Slice(2, 0, 26),), (Slice(2, 2, 26),), (Slice(2, 2, 26),), (Slice(2, 2, 28),)
    ]  # fmt: skip
    assert found.working_bytes == 3 * 28 * 4


def test_all_tiles_run_one_program_with_the_layers_of_the_whole():
    program = program_of(POOLS, 1, 1, 100)
    tiles = {piece.program for piece in split(program, ADVISOR, 400).pieces}
    (tile,) = tiles
    assert [step.layer for step in tile.steps] == [step.layer for step in program.steps]


def test_tiles_of_every_row():
    found = split(program_of(POOLS, 2, 1, 100), ADVISOR, 3 * 28 * 4)
    rows = [piece.outputs["b"][0] for piece in found.pieces]
    assert rows == [Slice(0, 0, 1)] * 4 + [Slice(0, 1, 2)] * 4


def test_the_axis_is_the_one_where_the_least_is_computed_twice():
    found = split(program_of(POOLS, 1, 1, 50, 100), ADVISOR, 15_000)
    assert found.pieces[0].inputs["input"][1].axis == 3
    square = split(program_of(POOLS, 1, 1, 80, 80), ADVISOR, 20_000)
    assert square.pieces[0].inputs["input"][1].axis == 2


def test_strides_align_the_tiles():
    layers = [cs.MaxPool(2), cs.MaxPool(2), cs.Upsample(4)]
    found = split(program_of(layers, 1, 1, 64), ADVISOR, 180)
    reads = [piece.inputs["input"][1] for piece in found.pieces]
    assert len(reads) > 1
    assert all(read.start % 4 == 0 and read.stop % 4 == 0 for read in reads)


def test_what_cannot_be_split_enough_says_how_far_it_could():
    found = split(program_of(POOLS, 1, 1, 100), ADVISOR, 59)
    assert found.pieces == ()
    assert found.working_bytes == 3 * 5 * 4  # one sound element and its margins
    assert split(program_of(POOLS, 1, 1, 100), ADVISOR, 60).pieces


def test_without_tiles_the_least_is_one_row():
    layers = [cs.ReLU(), cs.GlobalMaxPool()]
    found = split(program_of(layers, 4, 1, 100), ADVISOR, 399)
    assert (found.pieces, found.working_bytes) == ((), 400)
    assert len(split(program_of(layers, 4, 1, 100), ADVISOR, 400).pieces) == 4


def test_an_empty_batch_has_no_rows_to_split():
    program = program_of(POOLS, 0, 1, 100)
    assert split(program, FixedAdvisor(10), 9).pieces == ()
    assert len(split(program, ADVISOR, 0).pieces) == 1


def test_operations_are_not_split():
    signals = [TensorSpec(name, "float32", (9,)) for name in ("a", "v")]
    found = split(plan_operation(Convolve(), signals), FixedAdvisor(70), 1)
    assert (found.pieces, found.working_bytes) == ((), 70)


def test_several_axes_are_cut_where_one_is_not_enough():
    program = program_of(POOLS, 1, 1, 40, 40)
    found = split(program, ADVISOR, 3 * 20 * 20 * 4)  # one axis: at least 3 * 5 * 40 elements
    assert all(len(piece.inputs["input"]) == 2 for piece in found.pieces)
    found = split(program, ADVISOR, 3 * 10 * 10 * 4)
    first, *_, last = found.pieces
    assert first.inputs["input"] == (Slice(0, 0, 1), Slice(2, 0, 10), Slice(3, 0, 10))
    assert last.inputs["input"] == (Slice(0, 0, 1), Slice(2, 30, 40), Slice(3, 30, 40))
    assert first.kept["b"] == (Slice(2, 0, 8), Slice(3, 0, 8))
    assert len(found.pieces) == 36
    assert found.working_bytes == 3 * 10 * 10 * 4
