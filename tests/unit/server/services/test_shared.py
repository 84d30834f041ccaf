"""Places in a caller's memory: whatever is said of them, nothing outside is touched."""

import mmap

import pytest
from convserve import errors
from convserve.tensors import TensorSpec
from convserve.v1 import compute_service_pb2 as pb2
from convserve_server.services.shared import read_shared
from convserve_server.workers.segments import Segment

PAGE = mmap.PAGESIZE
A = TensorSpec("a", "float32", (25,))  # 100 bytes
B = TensorSpec("b", "float64", (8,))  # 64 bytes
FLAGS = TensorSpec("flags", "bool", (4,))
EMPTY = TensorSpec("empty", "float32", (0, 4))
Y = TensorSpec("y", "float32", (16,))  # 64 bytes
Z = TensorSpec("z", "int8", (1,))
TENSORS = (A, B, FLAGS, EMPTY)


@pytest.fixture
def segment():
    with Segment(3, PAGE, lambda: None) as made:
        yield made


def read(segment, *places, offset=0, room=0, outputs=(Y, Z)):
    tensors = [pb2.SharedTensor(tensor=t, offset=o) for t, o in places]
    message = pb2.Shared(tensors=tensors, output_offset=offset, output_bytes=room)
    return read_shared(message, TENSORS, outputs, segment)


def test_tensors_and_results_get_their_places(segment):
    shared = read(segment, (1, PAGE - 64), (0, 128), offset=1024, room=128)
    assert {i: (p.spec, p.address) for i, p in shared.tensors.items()} == {
        1: (B, PAGE - 64),
        0: (A, 128),
    }
    assert [(p.spec, p.address) for p in shared.outputs] == [(Y, 1024), (Z, 1088)]
    assert all(p.region is segment for p in (*shared.tensors.values(), *shared.outputs))
    assert len(shared.tensors[0].view()) == 100


def test_without_room_the_results_come_in_the_answer(segment):
    assert read(segment, (0, 0)).outputs == ()


def test_a_call_may_share_nothing_but_its_results(segment):
    shared = read(segment, offset=PAGE - 128, room=128)
    assert shared.tensors == {}
    assert [p.address for p in shared.outputs] == [PAGE - 128, PAGE - 64]


def test_inputs_may_lie_in_the_same_place(segment):
    assert len(read(segment, (0, 64), (1, 64)).tensors) == 2


def test_a_tensor_without_values_may_lie_at_the_very_end(segment):
    assert read(segment, (3, PAGE), offset=0, room=PAGE).tensors[3].address == PAGE


@pytest.mark.parametrize(
    ("places", "field"),
    [
        ([(4, 0)], "shared.tensors[0].tensor"),
        ([(-1, 0)], "shared.tensors[0].tensor"),
        ([(0, 0), (0, 128)], "shared.tensors[1].tensor"),
        ([(0, 4)], "shared.tensors[0].offset"),
        ([(0, -64)], "shared.tensors[0].offset"),
        ([(1, 0), (0, PAGE - 64)], "shared.tensors[1].offset"),
        ([(1, PAGE)], "shared.tensors[0].offset"),
        ([(1, 2**63 - 64)], "shared.tensors[0].offset"),
        ([(1, -(2**63))], "shared.tensors[0].offset"),
        ([(3, PAGE + 64)], "shared.tensors[0].offset"),
    ],
)
def test_a_wrong_place_is_named(segment, places, field):
    with pytest.raises(errors.InvalidArgumentError) as caught:
        read(segment, *places)
    assert caught.value.field == field
    assert "value" in caught.value.metadata


@pytest.mark.parametrize(
    ("offset", "room", "field"),
    [
        (32, 256, "shared.output_offset"),
        (-64, 256, "shared.output_offset"),
        (PAGE, 256, "shared.output_offset"),
        (64, PAGE, "shared.output_offset"),
        (64, 2**63 - 1, "shared.output_offset"),
        (0, -1, "shared.output_bytes"),
    ],
)
def test_a_wrong_area_is_named(segment, offset, room, field):
    with pytest.raises(errors.InvalidArgumentError) as caught:
        read(segment, offset=offset, room=room)
    assert caught.value.field == field


def test_an_area_that_is_too_small_is_told_what_it_takes(segment):
    with pytest.raises(errors.AreaTooSmallError) as caught:
        read(segment, offset=0, room=127)
    assert caught.value.field == "shared.output_bytes"
    assert caught.value.metadata == {"planned_bytes": "128", "given_bytes": "127"}
    assert read(segment, offset=0, room=128).outputs


def test_results_larger_than_any_memory_are_counted_exactly(segment):
    huge = TensorSpec("y", "float64", (2**31 - 1,) * 4)
    with pytest.raises(errors.AreaTooSmallError) as caught:
        read(segment, offset=0, room=PAGE, outputs=(huge,))
    assert int(caught.value.metadata["planned_bytes"]) >= 8 * (2**31 - 1) ** 4


@pytest.mark.parametrize("at", [192, 256, 320])
def test_results_never_go_where_an_input_lies(segment, at):
    with pytest.raises(errors.InvalidArgumentError, match="overlap") as caught:
        read(segment, (0, at), offset=256, room=128)
    assert caught.value.field == "shared.tensors[0].offset"


@pytest.mark.parametrize("at", [128, 384])
def test_an_input_may_touch_the_area_for_results(segment, at):
    assert read(segment, (0, at), offset=256, room=128).outputs


def test_the_whole_area_counts_not_only_what_the_results_take(segment):
    with pytest.raises(errors.InvalidArgumentError, match="overlap"):
        read(segment, (0, 512), offset=0, room=576)


def test_booleans_are_refused_since_they_could_change_after_the_check(segment):
    with pytest.raises(errors.DTypeError, match="booleans") as caught:
        read(segment, (2, 0))
    assert caught.value.field == "shared.tensors[0].tensor"
