import asyncio
import threading

import pytest
from attrs import evolve
from convserve import errors
from convserve.codec import network_to_message
from convserve.layers import Conv, GlobalAvgPool, ReLU, Upsample
from convserve.networks import Network
from convserve.tensors import TensorSpec, spec_to_message
from convserve.v1 import compute_service_pb2 as pb2
from convserve_server.planning.program import Advisor
from convserve_server.planning.tiling import Slice
from convserve_server.services.bounds import MAX_INPUTS, MAX_LAYERS, MAX_TENSORS
from convserve_server.services.requests import RequestReader
from convserve_server.workers.messages import Taken, decode_work

from tests.planning import FixedAdvisor
from tests.targets import cpu_alone

X = TensorSpec("input", "float32", (2, 3, 8, 8))
WEIGHT = TensorSpec("conv1.weight", "float32", (4, 3, 3, 3))


def header(layers, *specs, **options):
    return pb2.RunHeader(
        network=network_to_message(Network(layers)),
        tensors=[spec_to_message(spec) for spec in specs],
        options=pb2.RunOptions(**options),
    )


def new_reader(advisor, worker_memory_bytes=1 << 20, tensor_pool_bytes=1 << 30):
    return RequestReader(
        cpu_alone(advisor, worker_memory_bytes), tensor_pool_bytes=tensor_pool_bytes
    )


@pytest.fixture
def reader():
    return new_reader(FixedAdvisor(), 1 << 20)


class PatientAdvisor(Advisor):
    """Tells its step only once it is let go on, or a minute has passed."""

    def __init__(self):
        self.go_on = threading.Event()
        self.was_let_go = False

    def advise(self, step):
        self.was_let_go = self.go_on.wait(60)
        return FixedAdvisor().advise(step)


def read(reader, message):
    return asyncio.run(reader.read_run(message.SerializeToString(), message, None))


def test_a_request_counts_its_bytes(reader):
    request = read(reader, header([Conv(4, 3, bias=False)], X, WEIGHT))
    assert request.tensors == (X, WEIGHT)
    assert request.outputs == (TensorSpec("conv1", "float32", (2, 4, 6, 6)),)
    assert request.output_bytes == 2 * 4 * 36 * 4
    assert request.pool_bytes == 1536 + 448 + 1152  # each rounded up to 64
    assert request.rows == 2


def test_outputs_are_in_the_callers_layout(reader):
    last = TensorSpec("input", "float32", (2, 8, 9, 3))
    message = header([Conv(4, 3, bias=False)], last, WEIGHT, layout="LAYOUT_CHANNELS_LAST")
    request = read(reader, message)
    assert request.options.layout == "channels_last"
    assert request.outputs[0].shape == (2, 6, 7, 4)
    assert decode_work(request.pieces[0].work).steps[0].output.shape == (2, 4, 6, 7)


def test_a_repeated_header_is_looked_up(reader):
    message, other = (header([ReLU()], spec) for spec in (X, evolve(X, shape=(3, 3, 8, 8))))
    assert reader.recall(message.SerializeToString()) is None
    first = read(reader, message)
    assert reader.recall(message.SerializeToString()) is first
    assert reader.recall(other.SerializeToString()) is None


def test_a_refused_header_is_refused_again(reader):
    message = header([ReLU()])
    for _ in range(2):
        with pytest.raises(errors.InvalidNetworkError):
            read(reader, message)
        assert reader.recall(message.SerializeToString()) is None


def test_a_load_checks_names_before_any_value_comes(reader):
    network = network_to_message(Network([Conv(4, 3)]))
    message = pb2.LoadModelHeader(network=network, weights=[spec_to_message(WEIGHT)])
    with pytest.raises(errors.InvalidNetworkError, match=r"conv1\.bias"):
        asyncio.run(reader.read_load(message))


def test_the_device_is_known_or_the_default(reader):
    for name in ("", "cpu"):
        request = read(reader, header([ReLU()], X, device=name))
        assert request.choice.first.device.name == "cpu"
    with pytest.raises(errors.DeviceNotFoundError, match=r"'h200' .* it has cpu") as caught:
        read(reader, header([ReLU()], X, device="h200"))
    assert caught.value.field == "options.device"


def test_work_beyond_the_workers_memory_is_refused_with_the_three_numbers():
    x = TensorSpec("input", "float32", (1, 1, 10, 10))
    message = header([Upsample(10), GlobalAvgPool()], x)  # 40 000 bytes between them
    assert read(new_reader(FixedAdvisor(50), 40_050), message).output_bytes == 4
    with pytest.raises(errors.TooLargeError, match=r"40050 bytes.* workers have 40049") as caught:
        read(new_reader(FixedAdvisor(50), 40_049), message)
    assert caught.value.metadata == {
        "planned_bytes": "40050",
        "split_bytes": "40050",
        "limit_bytes": "40049",
    }


def test_work_beyond_the_workers_memory_is_split_where_it_can_be():
    x = TensorSpec("input", "float32", (6, 1, 10, 10))
    message = header([Upsample(10), GlobalAvgPool()], x)
    request = read(new_reader(FixedAdvisor(), 80_000), message)
    assert [piece.taken["input"] for piece in request.pieces] == [
        Taken((6, 1, 10, 10), (Slice(0, start, start + 2),)) for start in (0, 2, 4)
    ]
    assert {piece.working_bytes for piece in request.pieces} == {80_000}
    assert all(piece.is_frugal for piece in request.pieces)
    assert {decode_work(piece.work).inputs[0].shape for piece in request.pieces} == {(2, 1, 10, 10)}


def test_calls_that_differ_in_their_rows_only_may_be_one_batch(reader):
    two, three, none = (
        read(reader, header([ReLU()], evolve(X, shape=(rows, 3, 8, 8)))) for rows in (2, 3, 0)
    )
    assert two.sample_work == three.sample_work != b""
    assert decode_work(two.sample_work).inputs[0].shape == (1, 3, 8, 8)
    assert none.sample_work == b""
    assert two.pieces[0].work != three.pieces[0].work


@pytest.mark.parametrize(
    ("dtype", "options"), [("int32", {}), ("float32", {"batch_invariant": True})]
)
def test_what_must_be_computed_alone_has_no_sample(reader, dtype, options):
    specs = [evolve(spec, dtype=dtype) for spec in (X, WEIGHT)]
    assert read(reader, header([Conv(4, 3, bias=False)], *specs, **options)).sample_work == b""


def test_tensors_are_found_in_whatever_order_they_come(reader):
    request = read(reader, header([Conv(4, 3, bias=False)], WEIGHT, X))
    assert request.tensors == (WEIGHT, X)
    assert (request.order, request.weights) == ((1, 0), (0,))


def test_a_long_header_does_not_hold_up_the_loop():
    advisor = PatientAdvisor()
    reader = new_reader(advisor, 1 << 20)
    message = header([ReLU(name=f"{'x' * 100}{number}") for number in range(20)], X)

    async def scenario():
        reading = asyncio.create_task(reader.read_run(message.SerializeToString(), message, None))
        await asyncio.wait([reading], timeout=0)
        advisor.go_on.set()
        await reading

    asyncio.run(scenario())
    assert advisor.was_let_go


def test_what_is_kept_is_counted_with_its_work():
    reader = new_reader(FixedAdvisor(), 1 << 20)
    one, many = (read(reader, header([ReLU() for _ in range(n)], X)) for n in (1, 40))
    works = [len(each.pieces[0].work) + len(each.sample_work) for each in (one, many)]
    assert one.kept_bytes > works[0]
    assert many.kept_bytes - one.kept_bytes == works[1] - works[0] > 0


@pytest.mark.parametrize("what", ["tensors", "layers", "inputs", "outputs", "layers[1].inputs"])
def test_too_many_of_anything_are_refused_by_their_number(reader, what):
    message = header([ReLU(), ReLU()], X)
    limit = {"tensors": MAX_TENSORS, "layers": MAX_LAYERS}.get(what, MAX_INPUTS)
    crowded = {
        "tensors": message.tensors,
        "layers": message.network.layers,
        "inputs": message.network.inputs,
        "outputs": message.network.outputs,
        "layers[1].inputs": message.network.layers[1].inputs,
    }[what]
    extra = [type(crowded[0])() if crowded else ""] * (limit + 1 - len(crowded))
    crowded.extend(extra)
    with pytest.raises(errors.TooLargeError, match=f"{limit + 1} .* limit of {limit}") as caught:
        read(reader, message)
    assert caught.value.field == what


def test_what_no_pool_holds_is_refused_before_it_is_split():
    reader = new_reader(FixedAdvisor(), 1 << 10, 1 << 20)
    huge = TensorSpec("input", "float32", (1 << 30, 1, 8, 8))
    with pytest.raises(errors.TooLargeError, match="the server has 1048576 in all"):
        read(reader, header([ReLU()], huge))


def test_a_batch_of_many_rows_comes_in_few_blocks():
    reader = new_reader(FixedAdvisor(), 1 << 60, 1 << 60)
    many = TensorSpec("input", "float32", (1 << 30, 1, 8, 8))
    pieces = read(reader, header([ReLU()], many)).pieces
    assert len(pieces) == 256
    assert not any(piece.is_frugal for piece in pieces)
    assert pieces[-1].made_rows == pieces[-1].read_rows == 1 << 30
    assert [piece.made_rows for piece in pieces] == [piece.read_rows for piece in pieces]


def test_a_block_is_counted_with_what_it_needs_itself():
    reader = new_reader(FixedAdvisor(7), 1 << 60, 1 << 60)
    many = TensorSpec("input", "float32", (1 << 24, 1, 8, 8))
    pieces = read(reader, header([ReLU(), ReLU()], many)).pieces
    between = 4 * 64 * (1 << 24) // len(pieces)
    assert len(pieces) > 1
    assert {piece.working_bytes for piece in pieces} == {between + 7}
