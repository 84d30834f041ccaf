"""The worker process's own side, without a process."""

import mmap
import socket
from contextlib import closing

import numpy as np
import pytest
from convserve.errors import from_status
from convserve.layers import Conv, ReLU
from convserve.operations import Convolve
from convserve.tensors import TensorSpec
from convserve_server.planning.program import OperationStep, Program, Step
from convserve_server.planning.tiling import Slice
from convserve_server.workers.child import serve
from convserve_server.workers.messages import (
    Detach,
    Failure,
    Part,
    Ready,
    Run,
    Success,
    Taken,
    decode_steps,
    encode_frame,
    encode_work,
)
from convserve_server.workers.runner import Places, Runner
from convserve_server.workers.segments import (
    Segment,
    Segments,
    segment_sockets,
    send_segment,
)
from google.rpc import status_pb2

from tests.fakes.engines import Fussy, Scripted, TransposedCopy

FLAG = 4096  # behind the tensors
SAMPLE = 60  # numbers in a row
W = TensorSpec("conv1.weight", "float32", (3, 3, 1, 1))
CONV = Conv(3, (1, 1), stride=(1, 1), padding=((0, 0), (0, 0)), name="conv1", inputs=("input",))


def copies(rows):
    """Work that copies (rows, 3, 4, 5), and adds the weight."""
    x, y = (TensorSpec(name, "float32", (rows, 3, 4, 5)) for name in ("input", "conv1"))
    return encode_work(Program((x,), (Step(CONV, (x,), (W,), y),), ("conv1",)))


def relus(*outputs, shape=(1, 3)):
    """Work of two layers with some of their results."""
    x, y, z = (TensorSpec(name, "float32", shape) for name in ("input", "a", "b"))
    first = Step(ReLU(name="a", inputs=("input",)), (x,), (), y)
    second = Step(ReLU(name="b", inputs=("input",)), (x,), (), z)
    return encode_work(Program((x,), (first, second), outputs))


class Memory:
    """What the front and a worker share: numbers, and the flag behind them."""

    def __init__(self):
        self.bytes = memoryview(bytearray(FLAG + 1))
        self.values = np.ndarray(FLAG // 4, np.float32, self.bytes)
        self.values[:] = np.nan

    def put(self, start, values):
        """Numbers from a position on; returns their address."""
        self.values[start : start + np.size(values)] = np.ravel(values)
        return 4 * start

    def at(self, address, count):
        return self.values[address // 4 : address // 4 + count].tolist()


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def segment_ends():
    near, far = segment_sockets()
    with near, far:
        yield near, far


@pytest.fixture
def segments(segment_ends):
    with closing(Segments(segment_ends[1])) as made:
        yield made


@pytest.fixture
def new_runner(memory, segments):
    return lambda engine: Runner(engine, Places(memory.bytes, segments))


def rows_of(done):
    """The rows of each batch, if nothing failed."""
    assert all(isinstance(outcome, Success) for outcome in done.outcomes)
    return [outcome.rows for outcome in done.outcomes]


def request(work, *parts, layout="channels_first", key="", **more):
    return Run(5, work, parts, key, layout, FLAG, **more)


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_the_engine_sees_channels_first_whatever_lies_in_memory(new_runner, memory, layout):
    x, w = memory.put(0, np.arange(2 * SAMPLE)), memory.put(120, np.full(9, 7))
    done = new_runner(TransposedCopy()).run(request(copies(2), Part(2, (x, w, 640)), layout=layout))
    assert rows_of(done) == [2]
    assert memory.at(640, 2 * SAMPLE) == list(range(7, 127))


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_parts_with_different_rows_are_one_batch_with_the_weights_of_the_first(
    new_runner, memory, layout
):
    engine = TransposedCopy()
    weights = [memory.put(900 + 16 * n, np.full(9, value)) for n, value in enumerate((7, 8, 9))]
    parts, rows = [], (2, 0, 1)
    for number, (count, weight) in enumerate(zip(rows, weights, strict=True)):
        x = memory.put(240 * number, np.arange(count * SAMPLE) + 1000 * number)
        parts.append(Part(count, (x, weight, x + 480)))
    done = new_runner(engine).run(request(copies(2), *parts, layout=layout))
    assert rows_of(done) == [3]
    assert engine.runs == [(3, 3, 4, 5)]
    for number, (count, part) in enumerate(zip(rows, parts, strict=True)):
        expected = np.arange(count * SAMPLE) + 1000 * number + 7
        assert memory.at(part.addresses[-1], count * SAMPLE) == expected.tolist()


def test_what_lies_between_the_results_is_not_touched(new_runner, memory):
    parts = [Part(1, (memory.put(8 * n, [n, n, n]), 256 + 32 * n)) for n in range(3)]
    new_runner(Scripted()).run(request(relus("a"), *parts))
    for n in range(3):
        assert memory.at(256 + 32 * n, 3) == [n + 1] * 3
        assert np.isnan(memory.at(256 + 32 * n + 12, 5)).all()


def test_a_part_that_is_refused_fails_alone(new_runner, memory):
    values = [1, -1, 2, -2]
    parts = [Part(1, (memory.put(8 * n, [v] * 3), 256 + 32 * n)) for n, v in enumerate(values)]
    engine = Fussy()
    done = new_runner(engine).run(request(relus("a"), *parts))
    for number in (1, 3):
        error = from_status(status_pb2.Status.FromString(done.outcome(number).status))
        assert error.message == f"{values[number]} is negative"
    assert memory.at(256, 3) == [2, 2, 2]
    assert memory.at(256 + 64, 3) == [3, 3, 3]
    assert np.isnan(memory.at(256 + 32, 3)).all()
    assert engine.runs == [(1, 3), (1, 3)]
    for number in (0, 2):
        alone = done.outcome(number)
        assert alone.rows == 1
        assert alone.seconds > 0
        assert len(decode_steps(alone.steps).records) == 1
    assert len(done.outcomes) == 4


def test_a_fault_is_told_as_a_story_for_each_part(new_runner, memory):
    parts = [Part(1, (memory.put(8 * n, [n] * 3), 256 + 32 * n)) for n in range(2)]
    done = new_runner(Scripted()).run(request(relus("a"), *parts, key="break:secret"))
    assert len(done.outcomes) == 2
    for failure in done.outcomes:
        assert failure.status == b""
        assert "RuntimeError: secret" in failure.story


def test_what_was_given_up_is_not_begun(new_runner, memory):
    engine = Scripted()
    parts = [Part(1, (memory.put(8 * n, [n] * 3), 256 + 32 * n)) for n in range(2)]
    memory.bytes[FLAG] = 1
    done = new_runner(engine).run(request(relus("a"), *parts))
    assert engine.runs == []
    assert np.isnan(memory.at(256, 16)).all()
    assert isinstance(done.outcome(0), Failure)
    assert done.outcome(1) == done.outcome(0)


def test_several_outputs_go_to_their_places(new_runner, memory):
    parts = [
        Part(rows, (memory.put(8 * n, [n] * 3 * rows), 512 + 64 * n, 256 + 64 * n))
        for n, rows in enumerate((1, 2))
    ]
    done = new_runner(Scripted()).run(request(relus("b", "a"), *parts))
    assert rows_of(done) == [3]
    for n, rows in enumerate((1, 2)):
        for start in (512, 256):
            assert memory.at(start + 64 * n, 3 * rows) == [n + 1] * 3 * rows


def test_an_operation_runs_on_its_operands(new_runner, memory):
    a, v, out = (TensorSpec(name, "float32", (4,)) for name in ("a", "v", "output"))
    work = encode_work(OperationStep(Convolve(), (a, v), out))
    part = Part(1, (memory.put(0, [1, 2, 3, 4]), memory.put(8, [5, 5, 5, 5]), 128))
    done = new_runner(Scripted()).run(request(work, part))
    assert memory.at(128, 4) == [7, 8, 9, 10]
    assert rows_of(done) == [1]


# Pieces


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_a_piece_takes_and_keeps_a_part_of_what_lies_in_memory(new_runner, memory, layout):
    """Rows 1 and 2 of 4, columns 2 to 4 of 6; of the result only column 3 counts."""
    whole = np.arange(4 * 2 * 6).reshape(4, 2, 6)  # channels first
    lies = whole if layout == "channels_first" else np.moveaxis(whole, 1, -1)
    taken = Taken(lies.shape, (Slice(0, 1, 3), Slice(2, 2, 5)))
    placed = Taken(lies.shape, (Slice(0, 1, 3), Slice(2, 3, 4)))
    done = new_runner(Scripted()).run(
        request(
            relus("a", shape=(2, 2, 3)),
            Part(4, (memory.put(0, lies), 256)),
            layout=layout,
            taken={"input": taken, "a": placed},
            kept={"a": (Slice(2, 1, 2),)},
        )
    )
    assert rows_of(done) == [2]
    result = np.reshape(memory.at(256, 48), lies.shape)
    result = result if layout == "channels_first" else np.moveaxis(result, -1, 1)
    np.testing.assert_array_equal(result[1:3, :, 3], whole[1:3, :, 3] + 1)
    assert np.isnan(result).sum() == 48 - 4


def test_a_piece_whose_result_all_counts_is_made_in_its_place(new_runner, memory):
    whole = Taken((4, 3), (Slice(0, 1, 3),))
    x = memory.put(0, np.arange(12))
    new_runner(Scripted()).run(
        request(
            relus("b", "a", shape=(2, 3)),
            Part(4, (x, 128, 256)),
            taken={"input": whole, "a": whole, "b": whole},
        )
    )
    for start in (128, 256):
        assert memory.at(start + 12, 6) == [4, 5, 6, 7, 8, 9]
        assert np.isnan(memory.at(start, 3) + memory.at(start + 36, 3)).all()


# Segments


def test_tensors_may_lie_in_segments(new_runner, memory, segment_ends, segments):
    runner = new_runner(Scripted())
    with Segment(7, mmap.PAGESIZE, lambda: None) as segment:
        send_segment(segment_ends[0], segment)
        np.frombuffer(segment.view(), np.float32)[:3] = [1, 2, 3]
        parts = [
            Part(1, (0, 64), (7, 0)),
            Part(1, (memory.put(0, [7, 8, 9]), 128), (0, 7)),
        ]
        done = runner.run(request(relus("a"), *parts))
        assert rows_of(done) == [2]
        assert memory.at(64, 3) == [2, 3, 4]
        assert np.frombuffer(segment.view(128, 12), np.float32).tolist() == [8, 9, 10]
    runner.places.detach(Detach(7))
    assert len(segments) == 0


def test_a_segment_that_nothing_has_named_is_detached_too(new_runner, segment_ends, segments):
    with Segment(7, mmap.PAGESIZE, lambda: None) as segment:
        send_segment(segment_ends[0], segment)
    new_runner(Scripted()).places.detach(Detach(7))
    assert len(segments) == 0


# The loop


def test_a_front_that_goes_away_ends_the_loop(new_runner):
    near, far = socket.socketpair()
    with far:
        near.close()
        with pytest.raises(EOFError):
            serve(far, new_runner(Scripted()))


def test_only_requests_are_served(new_runner):
    near, far = socket.socketpair()
    with near, far:
        near.sendall(encode_frame(Ready()))
        with pytest.raises(TypeError, match="Ready is not a request"):
            serve(far, new_runner(Scripted()))
