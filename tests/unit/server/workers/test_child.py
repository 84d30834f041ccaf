"""The worker process's own side, without a process."""

import socket

import numpy as np
import pytest
from convserve.layers import Conv
from convserve.tensors import TensorSpec
from convserve_server.planning.program import Program, Step
from convserve_server.workers.child import Runner, serve
from convserve_server.workers.messages import (
    Done,
    PlacedTensor,
    Ready,
    Run,
    encode_frame,
    encode_work,
)

from tests.fakes.engines import Scripted, TransposedCopy

X = TensorSpec("input", "float32", (2, 3, 4, 5))
W = TensorSpec("conv1.weight", "float32", (3, 3, 1, 1))
Y = TensorSpec("conv1", "float32", (2, 3, 4, 5))
CONV = Conv(3, (1, 1), stride=(1, 1), padding=((0, 0), (0, 0)), name="conv1", inputs=("input",))
PROGRAM = Program((X,), (Step(CONV, (X,), (W,), Y),), ("conv1",))


def run(layout, shape):
    """Run the program with input and output of `shape` as they lie in memory."""
    memory = np.zeros(300, np.float32)
    memory[:120], memory[120:129] = np.arange(120), 7
    request = Run(
        job_id=5,
        work=encode_work(PROGRAM),
        tensors=(PlacedTensor(TensorSpec("input", "float32", shape), 0), PlacedTensor(W, 480)),
        outputs=(PlacedTensor(TensorSpec("conv1", "float32", shape), 640),),
        key="",
        layout=layout,
    )
    reply = Runner(TransposedCopy(), memory.view(np.uint8).data).run(request)
    assert isinstance(reply, Done), reply
    return memory[160:280]


@pytest.mark.parametrize(
    ("layout", "shape"), [("channels_first", (2, 3, 4, 5)), ("channels_last", (2, 4, 5, 3))]
)
def test_the_engine_sees_channels_first_whatever_lies_in_memory(layout, shape):
    np.testing.assert_array_equal(run(layout, shape), np.arange(120) + 7)


def test_a_front_that_goes_away_ends_the_loop():
    near, far = socket.socketpair()
    with far:
        near.close()
        with pytest.raises(EOFError):
            serve(far, Runner(Scripted(), memoryview(b"")))


def test_only_requests_are_served():
    near, far = socket.socketpair()
    with near, far:
        near.sendall(encode_frame(Ready()))
        with pytest.raises(TypeError, match="Ready is not a request"):
            serve(far, Runner(Scripted(), memoryview(b"")))
