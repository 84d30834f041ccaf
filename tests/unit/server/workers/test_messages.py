import asyncio
import socket

import pytest
from convserve.errors import TooLargeError
from convserve.layers import Conv, ReLU
from convserve.operations import Convolve
from convserve.plans import StepRecord
from convserve.tensors import TensorSpec
from convserve_server.cache import ByteCache
from convserve_server.planning.program import OperationStep, Program, Step
from convserve_server.workers import messages
from convserve_server.workers.messages import (
    Done,
    Failed,
    Forget,
    FrameError,
    PlacedTensor,
    Ready,
    Run,
    decode_work,
    encode_frame,
    encode_work,
    read_frame,
    receive_frame,
)

X = TensorSpec("input", "float32", (1, 2, 8))
Y = TensorSpec("conv1", "float32", (1, 4, 8))
W = TensorSpec("conv1.weight", "float32", (4, 2, 3))
CONV = Conv(4, (3,), stride=(1,), padding=((1, 1),), name="conv1", inputs=("input",), bias=False)
RELU = ReLU(name="relu1", inputs=("conv1",))
Z = TensorSpec("relu1", "float32", (1, 4, 8))
PROGRAM = Program((X,), (Step(CONV, (X,), (W,), Y), Step(RELU, (Y,), (), Z)), ("relu1",))
OPERATION = OperationStep(Convolve("same", "fft"), (X, X), Y)

MESSAGES = [
    Run(1, b"work", (PlacedTensor(X, 64),), (PlacedTensor(Y, 128),), "m-1", "channels_last"),
    Forget(2, "m-1"),
    Ready(),
    Done(3, (StepRecord(name="conv1", engine="cpu", algorithm="im2col"),), 0.5),
    Failed(4, b"status", "story"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_as_it_was_sent(message):
    near, far = socket.socketpair()
    with near, far:
        near.sendall(encode_frame(message))
        assert receive_frame(far) == message


def test_frames_follow_each_other_on_a_stream():
    async def scenario():
        reader = asyncio.StreamReader()
        reader.feed_data(b"".join(encode_frame(message) for message in MESSAGES))
        reader.feed_eof()
        received = [await read_frame(reader) for _ in MESSAGES]
        with pytest.raises(EOFError):
            await read_frame(reader)
        return received

    assert asyncio.run(scenario()) == MESSAGES


@pytest.mark.parametrize("sent", [b"", b"\1", b"\5\0\0\0abc"], ids=["nothing", "length", "body"])
def test_a_frame_that_breaks_off_is_the_end(sent):
    near, far = socket.socketpair()
    with far:
        with near:
            near.sendall(sent)
        with pytest.raises(EOFError):
            receive_frame(far)


@pytest.mark.parametrize(
    ("sent", "story"),
    [(b"\xff" * 8, "4294967295 bytes is above the limit"), (b"\2\0\0\0\xc1\xc1", "not a message")],
)
def test_garbage_is_told_from_messages(sent, story):
    near, far = socket.socketpair()
    with near, far:
        near.sendall(sent)
        with pytest.raises(FrameError, match=story):
            receive_frame(far)


def test_work_beyond_the_frame_limit_is_refused(monkeypatch):
    monkeypatch.setattr(messages, "MAX_FRAME_BYTES", 100)
    with pytest.raises(TooLargeError, match="above the limit of 100; split the network"):
        encode_frame(Forget(1, "k" * 100))


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
