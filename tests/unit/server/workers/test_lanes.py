"""The side of a worker process whose engine has lanes, without a process."""

import os
import socket
import threading
from contextlib import closing

import numpy as np
import pytest
from convserve.errors import CallCancelledError, ShapeError, from_status
from convserve_server.engines.base import DeviceLostError
from convserve_server.workers.child import serve_lanes
from convserve_server.workers.lanes import Lanes, Waiter
from convserve_server.workers.messages import (
    Forget,
    FrameBuffer,
    Part,
    Ready,
    Run,
    Success,
    decode_steps,
    encode_frame,
    encode_work,
)
from convserve_server.workers.runner import Places
from convserve_server.workers.segments import Segments, segment_sockets
from google.rpc import status_pb2

from tests.fakes import lane_engine
from tests.fakes.lane_engine import FIFO, LOSE, REFUSE, WAIT
from tests.unit.server.workers.harness import rows_program

FLAG = 4096  # behind the tensors


class Desk:
    """Lanes in a loop of their own, as a worker process has them, and the front's end."""

    def __init__(self, engine, memory):
        self.engine = engine
        self.memory = memory
        self.values = np.ndarray(FLAG // 4, np.float32, memory)
        self.front, self._far = socket.socketpair()
        self._near_segments, far_segments = segment_sockets()
        self._segments = Segments(far_segments, engine.attach, engine.detach)
        self._frames = FrameBuffer()
        self._answers = []
        self._thread = threading.Thread(target=self._serve)
        self.error = None
        self._thread.start()

    def _serve(self):
        with closing(Waiter()) as waiter:
            try:
                places = Places(self.memory, self._segments)
                serve_lanes(self._far, self.engine, places, waiter)
            except (EOFError, DeviceLostError, TypeError) as error:
                self.error = error
        self._far.close()

    def ask(self, *requests):
        self.front.sendall(b"".join(map(encode_frame, requests)))

    def answer(self):
        """The next answer; None if there comes no more."""
        while not self._answers:
            data = self.front.recv(1 << 16)
            if not data:
                return None
            self._answers += self._frames.feed(data)
        return self._answers.pop(0)

    def run(self, job_id, *firsts, **more):
        """A request to add 1 to rows that begin with these values, one part for each."""
        parts = []
        for number, first in enumerate(firsts):
            start = 64 * job_id + 8 * number
            self.values[start : start + 3] = (first, 1, 2)
            parts.append(Part(1, (4 * start, 4 * (start + 4))))
        work = encode_work(rows_program(1))
        return Run(job_id, work, tuple(parts), "", "channels_first", FLAG, **more)

    def result(self, job_id, number=0):
        start = 64 * job_id + 8 * number + 4
        return self.values[start : start + 3].tolist()

    def leave(self):
        self.front.close()
        self._thread.join(60)
        assert not self._thread.is_alive()
        self._segments.close()
        self._near_segments.close()


@pytest.fixture
def memory():
    return memoryview(bytearray(FLAG + 1))


@pytest.fixture
def desk(memory):
    made = Desk(lane_engine.Lanes(lanes=2), memory)
    yield made
    made.leave()


@pytest.fixture
def gate(tmp_path, monkeypatch):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    monkeypatch.setenv(FIFO, str(path))
    return path


def error_of(done, number=0):
    return from_status(status_pb2.Status.FromString(done.outcome(number).status))


def at_once(done):
    """How many pieces of work were in progress at most when this one ended."""
    (record,) = decode_steps(done.outcomes[0].steps).records
    return int(record.algorithm.split()[1])


def test_answers_are_in_the_order_of_requests_whatever_is_done_first(desk, gate):
    desk.ask(desk.run(1, WAIT), desk.run(2, 5), desk.run(3, 6))
    with gate.open("wb"):
        pass
    answers = [desk.answer() for _ in range(3)]
    assert [done.job_id for done in answers] == [1, 2, 3]
    assert at_once(answers[2]) == 2
    assert [desk.result(n) for n in (1, 2, 3)] == [[0, 2, 3], [6, 2, 3], [7, 2, 3]]


def test_no_more_begin_than_there_are_lanes(desk, gate):
    desk.ask(*(desk.run(n, WAIT if n == 1 else n) for n in range(1, 9)))
    with gate.open("wb"):
        pass
    assert [desk.answer().job_id for _ in range(8)] == list(range(1, 9))
    assert desk.engine.most == 2


def test_seconds_of_what_runs_side_by_side_add_up(desk):
    desk.ask(*(desk.run(n, n) for n in range(1, 5)))
    seconds = [desk.answer().outcomes[0].seconds for _ in range(4)]
    assert min(seconds) > 0


def test_a_part_that_is_refused_fails_alone(desk):
    desk.ask(desk.run(1, 5, REFUSE, 7), desk.run(2, 8))
    done = desk.answer()
    assert isinstance(error_of(done, 1), ShapeError)
    for number, first in ((0, 6), (2, 8)):
        assert isinstance(done.outcome(number), Success)
        assert desk.result(1, number) == [first, 2, 3]
    assert desk.answer().job_id == 2
    assert sorted(desk.engine.parts) == [1, 1, 1, 1, 3]


def test_several_parts_are_told_as_one_batch(desk):
    desk.ask(desk.run(1, 5, 6, 7, precision="tf32"))
    (outcome,) = desk.answer().outcomes
    assert outcome.rows == 3
    assert decode_steps(outcome.steps).records[0].algorithm.startswith("tf32")


def test_what_was_given_up_is_not_begun(desk, memory):
    memory[FLAG] = 1
    desk.ask(desk.run(1, 5, 6))
    assert isinstance(error_of(desk.answer()), CallCancelledError)
    assert desk.engine.parts == []


def test_a_fault_at_the_beginning_is_an_answer_in_its_turn(desk):
    broken = Run(2, b"no work", (Part(1, (0, 64)),), "", "channels_first", FLAG)
    desk.ask(desk.run(1, 5), broken, desk.run(3, 6))
    answers = [desk.answer() for _ in range(3)]
    assert [done.job_id for done in answers] == [1, 2, 3]
    assert "ValidationError" in answers[1].outcomes[0].story


def test_a_key_is_forgotten_after_what_was_asked_for_before(desk, gate):
    desk.ask(desk.run(1, WAIT), Forget(9, "m-1"), desk.run(2, 5))
    with gate.open("wb"):
        assert desk.engine.forgotten == []
    assert [desk.answer().job_id for _ in range(3)] == [1, 9, 2]
    assert desk.engine.forgotten == ["m-1"]


def test_a_lost_device_ends_the_loop_at_once(desk):
    desk.ask(desk.run(1, 5), desk.run(2, LOSE), desk.run(3, 6))
    assert desk.answer().job_id == 1
    assert desk.answer() is None
    assert isinstance(desk.error, DeviceLostError)


def test_a_front_that_goes_away_ends_the_loop(memory):
    desk = Desk(lane_engine.Lanes(), memory)
    desk.leave()
    assert isinstance(desk.error, EOFError)


def test_only_requests_are_served(desk):
    desk.ask(Ready())
    assert desk.answer() is None
    assert str(desk.error) == "Ready is not a request"


def test_rows_are_counted_by_what_lies_in_memory_not_by_the_work(memory):
    answers = []
    with closing(Waiter()) as waiter:
        near, far = segment_sockets()
        with near, closing(Segments(far)) as segments:
            lanes = Lanes(lane_engine.Lanes(), Places(memory, segments), waiter, answers.append)
            work, part = encode_work(rows_program(4)), Part(2, (0, 64))
            lanes.take(Run(1, work, (part,), "", "channels_first", FLAG))
            lanes.settle(waiter.take_done())
    (done,) = answers
    assert done.outcomes[0].rows == 2
