import pytest
from convserve.errors import TooLargeError
from convserve.layers import Conv, ReLU
from convserve.operations import Convolve
from convserve.runs import StepRecord
from convserve.tensors import TensorSpec
from convserve.v1 import compute_service_pb2 as pb2
from convserve_server.cache import ByteCache
from convserve_server.planning.program import OperationStep, Program, Step
from convserve_server.planning.tiling import Slice
from convserve_server.workers import messages
from convserve_server.workers.messages import (
    Detach,
    Done,
    Failure,
    Forget,
    FrameBuffer,
    FrameError,
    Part,
    Ready,
    Run,
    Success,
    Taken,
    Unable,
    decode_steps,
    decode_work,
    encode_frame,
    encode_steps,
    encode_work,
)

X = TensorSpec("input", "float32", (1, 2, 8))
Y = TensorSpec("conv1", "float32", (1, 4, 8))
W = TensorSpec("conv1.weight", "float32", (4, 2, 3))
CONV = Conv(4, (3,), stride=(1,), padding=((1, 1),), name="conv1", inputs=("input",), bias=False)
RELU = ReLU(name="relu1", inputs=("conv1",))
Z = TensorSpec("relu1", "float32", (1, 4, 8))
PROGRAM = Program((X,), (Step(CONV, (X,), (W,), Y), Step(RELU, (Y,), (), Z)), ("relu1",))
OPERATION = OperationStep(Convolve("same", "fft"), (X, X), Y)

STEPS = (StepRecord(name="conv1", engine="cpu", algorithm="im2col"),)
MESSAGES = [
    Run(1, b"work", (Part(1, (64, 128)), Part(3, (192, 0), (0, 7))), "m-1", "channels_last", 4096),
    Run(
        5,
        b"work",
        (Part(2, (64,)),),
        "",
        "channels_first",
        4097,
        {"input": Taken((2, 2, 8), (Slice(0, 0, 1), Slice(2, 3, 5)))},
        {"conv1": (Slice(2, 1, 2),)},
    ),
    Forget(2, "m-1"),
    Detach(7),
    Ready(),
    Unable("ImportError: no module"),
    Done(3),
    Done(4, (Success(encode_steps(STEPS), 0.5, 4),)),
    Done(5, (Failure(b"status"), Failure(story="story"), Success(encode_steps(STEPS), 0.5))),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_as_it_was_sent(message):
    assert list(FrameBuffer().feed(encode_frame(message))) == [message]


@pytest.mark.parametrize("piece_bytes", [1, 3, 7, 64, 1 << 16])
def test_frames_follow_each_other_on_a_stream_however_it_is_cut(piece_bytes):
    data = b"".join(encode_frame(message) for message in MESSAGES)
    pieces = [data[start : start + piece_bytes] for start in range(0, len(data), piece_bytes)]
    buffer = FrameBuffer()
    assert [message for piece in pieces for message in buffer.feed(piece)] == MESSAGES


@pytest.mark.parametrize("sent", [b"", b"\1", b"\5\0\0\0abc"], ids=["nothing", "length", "body"])
def test_a_frame_that_breaks_off_is_no_message(sent):
    assert list(FrameBuffer().feed(sent)) == []


@pytest.mark.parametrize(
    ("sent", "story"),
    [(b"\xff" * 8, "4294967295 bytes is above the limit"), (b"\2\0\0\0\xc1\xc1", "not a message")],
)
def test_garbage_is_told_from_messages(sent, story):
    with pytest.raises(FrameError, match=story):
        list(FrameBuffer().feed(sent))


def test_what_came_before_garbage_counts():
    frames = FrameBuffer().feed(encode_frame(Ready()) + b"\2\0\0\0\xc1\xc1")
    assert next(frames) == Ready()
    with pytest.raises(FrameError):
        next(frames)


def test_steps_come_as_they_were_sent_and_are_told_of_once():
    twice = (*STEPS, StepRecord(name="conv2", engine="cpu", algorithm="im2col"))
    steps = decode_steps(encode_steps(twice))
    assert steps.records == twice
    assert steps.counts == {("cpu", "im2col"): 2}
    assert [step.name for step in pb2.CallRecord.FromString(steps.message).steps] == [
        "conv1",
        "conv2",
    ]
    assert decode_steps(encode_steps(twice)) is steps


def test_work_that_no_frame_has_room_for_is_refused(monkeypatch):
    size = len(encode_work(PROGRAM))
    monkeypatch.setattr(messages, "MAX_WORK_BYTES", size)
    encode_work(PROGRAM)
    monkeypatch.setattr(messages, "MAX_WORK_BYTES", size - 1)
    with pytest.raises(TooLargeError, match=f"above the limit of {size - 1}; split the network"):
        encode_work(PROGRAM)


@pytest.mark.parametrize("work", [PROGRAM, OPERATION], ids=["program", "operation"])
def test_work_comes_as_it_was_sent(work):
    data = encode_work(work)
    assert decode_work(data) == work
    assert decode_work(bytes(bytearray(data))) is decode_work(data)


def test_decoded_works_are_kept_by_their_bytes(monkeypatch):
    data = encode_work(PROGRAM)
    small = ByteCache(10 * len(data))
    monkeypatch.setattr(messages, "_works", small)
    assert decode_work(data) == PROGRAM
    assert len(small) == 0  # it takes more than ten times its bytes
    monkeypatch.setattr(messages, "_works", ByteCache(20 * len(data)))
    assert decode_work(data) is decode_work(data)
