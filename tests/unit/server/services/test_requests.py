import asyncio
import threading

import pytest
from convserve import errors
from convserve.codec import network_to_message
from convserve.layers import Conv, GlobalAvgPool, ReLU, Upsample
from convserve.networks import Network
from convserve.plans import Device
from convserve.tensors import TensorSpec, spec_to_message
from convserve.v1 import compute_service_pb2 as pb2
from convserve_server.services.requests import RequestReader
from convserve_server.workers.messages import decode_work

from tests.planning import FixedAdvisor

CPU = Device(name="cpu", engine="reference")
X = TensorSpec("input", "float32", (2, 3, 8, 8))
WEIGHT = TensorSpec("conv1.weight", "float32", (4, 3, 3, 3))


def header(layers, *specs, **options):
    return pb2.RunHeader(
        network=network_to_message(Network(layers)),
        tensors=[spec_to_message(spec) for spec in specs],
        options=pb2.RunOptions(**options),
    )


@pytest.fixture
def reader():
    return RequestReader([CPU], FixedAdvisor(), 1 << 20)


class PatientAdvisor:
    """Tells its step only once it is let go on, or a minute has passed."""

    def __init__(self):
        self.go_on = threading.Event()
        self.was_let_go = False

    def advise(self, step):
        self.was_let_go = self.go_on.wait(60)
        return FixedAdvisor().advise(step)


def read(reader, message):
    return asyncio.run(reader.read_run(message, None))


def test_a_request_counts_its_bytes(reader):
    request = read(reader, header([Conv(4, 3, bias=False)], X, WEIGHT))
    assert request.input_bytes == X.byte_count + WEIGHT.byte_count
    assert request.outputs == (TensorSpec("conv1", "float32", (2, 4, 6, 6)),)
    assert request.output_bytes == 2 * 4 * 36 * 4
    assert request.pool_bytes == 1536 + 448 + 1152  # each rounded up to 64
    assert request.batch_size == 2


def test_outputs_are_in_the_callers_layout(reader):
    last = TensorSpec("input", "float32", (2, 8, 9, 3))
    message = header([Conv(4, 3, bias=False)], last, WEIGHT, layout="LAYOUT_CHANNELS_LAST")
    request = read(reader, message)
    assert request.layout == "channels_last"
    assert request.outputs[0].shape == (2, 6, 7, 4)
    assert decode_work(request.work).steps[0].output.shape == (2, 4, 6, 7)


def test_a_repeated_header_is_looked_up(reader):
    first = read(reader, header([ReLU()], X))
    assert read(reader, header([ReLU()], X)) is first
    other = TensorSpec("input", "float32", (3, 3, 8, 8))
    assert read(reader, header([ReLU()], other)) is not first


def test_a_refused_header_is_refused_again(reader):
    for _ in range(2):
        with pytest.raises(errors.InvalidNetworkError):
            read(reader, header([ReLU()]))


def test_a_load_checks_names_before_any_value_comes(reader):
    network = network_to_message(Network([Conv(4, 3)]))
    message = pb2.LoadModelHeader(network=network, weights=[spec_to_message(WEIGHT)])
    with pytest.raises(errors.InvalidNetworkError, match=r"conv1\.bias"):
        asyncio.run(reader.read_load(message))


def test_the_device_is_known_or_the_default(reader):
    reader.check_device("")
    reader.check_device("cpu")
    with pytest.raises(errors.DeviceNotFoundError, match=r"'h200' .* it has cpu"):
        reader.check_device("h200")


def test_work_beyond_the_workers_memory_is_refused_with_both_numbers():
    x = TensorSpec("input", "float32", (1, 1, 10, 10))
    message = header([Upsample(10), GlobalAvgPool()], x)  # 40 000 bytes between them
    assert read(RequestReader([CPU], FixedAdvisor(50), 40_050), message).output_bytes == 4
    with pytest.raises(errors.TooLargeError, match=r"40050 bytes.* worker has 40049") as caught:
        read(RequestReader([CPU], FixedAdvisor(50), 40_049), message)
    assert caught.value.metadata == {"planned_bytes": "40050", "limit_bytes": "40049"}


def test_a_long_header_does_not_hold_up_the_loop():
    advisor = PatientAdvisor()
    reader = RequestReader([CPU], advisor, 1 << 20)
    message = header([ReLU(name=f"{'x' * 100}{number}") for number in range(20)], X)

    async def scenario():
        reading = asyncio.create_task(reader.read_run(message, None))
        await asyncio.wait([reading], timeout=0)
        advisor.go_on.set()
        await reading

    asyncio.run(scenario())
    assert advisor.was_let_go


def test_what_is_kept_is_counted_with_its_work():
    reader = RequestReader([CPU], FixedAdvisor(), 1 << 20)
    one, many = (read(reader, header([ReLU() for _ in range(n)], X)) for n in (1, 40))
    assert one.kept_bytes > len(one.work)
    assert many.kept_bytes - one.kept_bytes == len(many.work) - len(one.work) > 0


@pytest.mark.parametrize("what", ["tensors", "layers", "inputs", "outputs", "layers[1].inputs"])
def test_too_many_of_anything_are_refused_by_their_number(reader, what):
    message = header([ReLU(), ReLU()], X)
    limit = {"tensors": 16384, "layers": 4096}.get(what, 1024)
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
