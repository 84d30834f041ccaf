import asyncio

import pytest
from convserve import errors
from convserve.codec import network_to_message
from convserve.layers import Conv, ReLU
from convserve.networks import Network
from convserve.plans import Device
from convserve.tensors import TensorSpec, spec_to_message
from convserve.v1 import compute_service_pb2 as pb2
from convserve_server.services.requests import RequestReader

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
    return RequestReader([CPU])


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
    assert request.work.steps[0].output.shape == (2, 4, 6, 7)


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
