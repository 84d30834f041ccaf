"""Work that needs more memory than the worker has: computed in pieces, with the same results."""

import threading

import grpc
import numpy as np
import pytest
from attrs import frozen
from convserve import errors
from convserve.codec import network_to_message, operation_to_message
from convserve.layers import (
    Add,
    AvgPool,
    BatchNorm,
    Conv,
    GlobalAvgPool,
    MaxPool,
    ReLU,
    Sigmoid,
    Upsample,
)
from convserve.networks import Network
from convserve.operations import Convolve
from convserve.tensors import wire_bytes
from convserve.v1 import compute_service_pb2 as pb2

from tests.chunks import chunks
from tests.fakes.held_engine import HOLD
from tests.holding import held_server
from tests.planning import plan
from tests.server import start_server
from tests.wire import (
    arrays_of,
    arrays_of_stream,
    call,
    header_of,
    inline,
    load_messages,
    method,
    scrape,
    stream,
)

SMALL_BYTES = 640 << 10
LAST = {"layout": "LAYOUT_CHANNELS_LAST"}
DEEP = Network([
    Conv(8, 3, padding=1, name="a"),
    BatchNorm(name="norm"),
    ReLU(name="b"),
    MaxPool(2, name="c"),
    Conv(16, 3, padding=1, stride=2, name="d"),
    Sigmoid(name="e"),
    Conv(4, 5, padding=2, dilation=2, name="f"),
])  # fmt: skip
LARGE = Network([Conv(16, 5, padding=2, name="a"), Conv(1, 5, padding=2, name="b")])
SEVERAL = Network(
    [
        Conv(16, 3, padding=1, name="a"),
        ReLU(inputs="a", name="b"),
        AvgPool(2, inputs="b", name="c"),
        Conv(16, 1, inputs="b", name="d"),
        Add(inputs=("a", "d"), name="e"),
        MaxPool(3, inputs="e", name="f"),
        Conv(2, 1, inputs="e", name="g"),
    ],
    outputs=("g", "c", "f"),
)
SIGNAL = Network([Conv(32, 9, padding=4, name="a"), ReLU(name="b"), Conv(1, 9, name="c")])


@frozen
class Work:
    """A network for an input of this shape."""

    network: Network
    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def tensors(self):
        """Random numbers, and small whole ones where sums are to be exact."""
        rng = np.random.default_rng(0)
        layers = plan(self.network, self.shape, dtype=self.dtype).layers
        shapes = {spec.name: spec.shape for layer in layers for spec in layer.parameters}
        tensors = {
            name: rng.integers(1, 4, shape) if self.is_exact else rng.uniform(0.1, 1, shape)
            for name, shape in {"input": self.shape, **shapes}.items()
        }
        return {name: array.astype(self.dtype) for name, array in tensors.items()}

    @property
    def is_exact(self):
        return "int" in self.dtype


WORKS = {
    "deep, by rows": Work(DEEP, (16, 3, 32, 32)),
    "deep, one row": Work(DEEP, (1, 3, 288, 96)),
    "deep, tiles of rows": Work(DEEP, (2, 3, 288, 96)),
    "large, by rows": Work(LARGE, (24, 4, 32, 32)),
    "large, one row": Work(LARGE, (1, 4, 256, 96)),
    "large, wide": Work(LARGE, (1, 4, 96, 256)),
    "several outputs, by rows": Work(SEVERAL, (24, 3, 24, 24)),
    "several outputs, one row": Work(SEVERAL, (1, 3, 288, 48)),
    "one axis": Work(SIGNAL, (1, 2, 40_000)),
    "three axes": Work(LARGE, (1, 2, 48, 24, 24)),
    "float64": Work(LARGE, (2, 4, 128, 20), "float64"),
    "integers": Work(LARGE, (2, 4, 128, 20), "int64"),
}


@pytest.fixture(scope="module")
def small():
    """A server whose worker has little memory."""
    with start_server(f"--worker-memory-bytes={SMALL_BYTES}") as running:
        yield running


@pytest.fixture(scope="module")
def small_channel(small):
    with grpc.insecure_channel(small.address) as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_is_left(small):
    yield
    assert scrape(small.metrics_address)["convserve_tensor_bytes_in_flight"] == 0


def check_equal(response, whole, *, exact):
    """Both have the same results, one of them in pieces."""
    assert whole.summary.tile_count == 1
    assert response.summary.tile_count > 1
    results = arrays_of(response)
    for name, expected in arrays_of(whole).items():
        if exact:
            np.testing.assert_array_equal(results[name], expected)
        else:
            scale = np.abs(expected).max()
            tolerance = scale * 20 * np.finfo(expected.dtype).eps
            np.testing.assert_allclose(results[name], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_in_pieces_it_is_what_it_is_at_once(channel, small_channel, work):
    request = inline(network_to_message(work.network), work.tensors)
    (response,), (whole,) = (call(c, "RunInline", request) for c in (small_channel, channel))
    check_equal(response, whole, exact=work.is_exact)


@pytest.mark.parametrize(
    "work",
    [WORKS["deep, by rows"], WORKS["deep, tiles of rows"], WORKS["several outputs, one row"]],
)
def test_channels_last_in_pieces(channel, small_channel, work):
    tensors = work.tensors
    tensors["input"] = np.ascontiguousarray(np.moveaxis(tensors["input"], 1, -1))
    request = inline(network_to_message(work.network), tensors, **LAST)
    (response,), (whole,) = (call(c, "RunInline", request) for c in (small_channel, channel))
    check_equal(response, whole, exact=work.is_exact)


@pytest.mark.parametrize(
    "name", ["deep, by rows", "deep, tiles of rows", "several outputs, one row"]
)
def test_streams_in_pieces(small_channel, name):
    tensors, network = WORKS[name].tensors, network_to_message(WORKS[name].network)
    (single,) = call(small_channel, "RunInline", inline(network, tensors))
    messages = stream(header_of(network, tensors), tensors.values())
    responses = call(small_channel, "Run", *messages)
    assert responses[-1].summary.tile_count == single.summary.tile_count > 1
    results = arrays_of_stream(responses)
    for output, expected in arrays_of(single).items():
        np.testing.assert_array_equal(results[output], expected)


def test_a_model_in_pieces(small_channel):
    work = WORKS["large, by rows"]
    tensors = work.tensors
    (lone,) = call(small_channel, "RunInline", inline(network_to_message(work.network), tensors))
    x = tensors.pop("input")
    (loaded,) = call(small_channel, "LoadModel", *load_messages(list(work.network.layers), tensors))
    (response,) = call(small_channel, "RunInline", inline(loaded.model.id, {"input": x}))
    assert response.summary.tile_count == lone.summary.tile_count > 1
    for output, expected in arrays_of(lone).items():
        np.testing.assert_allclose(arrays_of(response)[output], expected, rtol=1e-5)


def test_the_record_counts_the_pieces_by_their_number(small_channel):
    layers = [Upsample(25), GlobalAvgPool(name="mean")]  # 562 500 bytes for each row
    x = np.ones((6, 1, 15, 15), np.float32)
    (response,) = call(small_channel, "RunInline", inline(layers, {"input": x}))
    assert response.summary.tile_count == 6
    np.testing.assert_array_equal(arrays_of(response)["mean"], np.ones((6, 1, 1, 1)))


def refused(channel, request):
    with pytest.raises(errors.TooLargeError) as caught:
        call(channel, "RunInline", request)
    return {name: int(value) for name, value in caught.value.metadata.items()}


def test_what_cannot_be_split_is_refused_with_the_three_numbers(small_channel):
    x = np.ones((2, 1, 16, 16), np.float32)
    numbers = refused(small_channel, inline([Upsample(30), GlobalAvgPool()], {"input": x}))
    row_bytes = 4 * 480 * 480
    assert numbers["limit_bytes"] == SMALL_BYTES
    assert numbers["planned_bytes"] >= 2 * row_bytes
    assert SMALL_BYTES < row_bytes <= numbers["split_bytes"] < numbers["planned_bytes"]


def test_an_operation_is_never_split(small_channel):
    signals = {name: np.ones(60_000, np.float32) for name in ("a", "v")}
    numbers = refused(small_channel, inline(operation_to_message(Convolve()), signals))
    assert numbers["split_bytes"] == numbers["planned_bytes"] > numbers["limit_bytes"]


@pytest.fixture
def held(tmp_path):
    """A server that can be held between pieces: of two rows of a thousand numbers."""
    with held_server(tmp_path, "--worker-memory-bytes=8000", "--abandon-seconds=600") as made:
        yield made


def test_cancelling_between_pieces_frees_the_memory_and_begins_no_more(held):
    x = np.zeros((8, 1000), np.float32)
    x[2:, 0] = HOLD  # all pieces but the first
    request = inline([ReLU(), ReLU()], {"input": x})
    future = method(held.channel, "RunInline").future(request, timeout=60)
    with held.fifo.open("wb"):  # which the second piece opens
        in_flight = scrape(held.server.metrics_address)["convserve_tensor_bytes_in_flight"]
        assert in_flight == 2 * x.nbytes
        future.cancel()
        held.wait_for('convserve_calls_total{code="CANCELLED",rpc="RunInline"}', bool)
    held.wait_until_free()
    (response,) = call(held.channel, "RunInline", inline([ReLU()], {"input": x[:2]}))
    np.testing.assert_array_equal(arrays_of(response)["relu1"], x[:2])
    assert scrape(held.server.metrics_address)['convserve_worker_restarts_total{device="cpu"}'] == 0


def test_a_piece_is_computed_when_its_rows_have_come_and_what_it_made_goes_out(held):
    x = np.arange(8000, dtype=np.float32).reshape(8, 1000)
    first, *rest = stream_in_rows(x)
    go_on = threading.Event()

    def messages():
        yield first
        yield from rest[:2]
        go_on.wait(60)
        yield from rest[2:]

    responses = method(held.channel, "Run")(messages(), timeout=60)
    received = [next(responses), next(responses)]
    assert received[1].WhichOneof("message") == "chunk"
    assert len(received[1].chunk.data) == 2 * 4000
    go_on.set()
    received += responses
    assert received[-1].summary.tile_count == 4
    np.testing.assert_array_equal(arrays_of_stream(received)["relu2"], x)


def stream_in_rows(x):
    """The messages of Run, with each row in a chunk of its own."""
    header = header_of([ReLU(), ReLU()], {"input": x})
    rows = chunks([wire_bytes(x)], chunk_bytes=x[0].nbytes)
    return [pb2.RunRequest(header=header), *(pb2.RunRequest(chunk=chunk) for chunk in rows)]
