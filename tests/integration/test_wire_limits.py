"""Requests that are legal messages, and too much: refused by their header, at once."""

import threading
import time

import grpc
import numpy as np
import pytest
from convserve import errors
from convserve.codec import network_to_message
from convserve.layers import Add, Conv, GlobalAvgPool, ReLU, Upsample
from convserve.networks import Network
from convserve.tensors import spec_of, spec_to_message
from convserve.v1 import compute_service_pb2 as pb2
from convserve.v1 import layer_pb2, planning_service_pb2, tensor_pb2

from tests.server import start_server
from tests.wire import (
    arrays_of_stream,
    call,
    error_of,
    header_of,
    inline,
    load_messages,
    method,
    ones,
    scrape,
    stream,
)

X = ones(1, 1, 100, 100)
HUGE = [
    Upsample(10_000),
    GlobalAvgPool(),
]  # 4e12 bytes between an input and an output that are small


def refused(channel, name, *messages):
    with pytest.raises(errors.ConvserveError) as caught:
        call(channel, name, *messages)
    return caught.value


def requests_of(name, work):
    """One call of Run or RunInline on X."""
    if name == "RunInline":
        return [inline(work, {"input": X})]
    return [pb2.RunRequest(header=header_of(work, {"input": X}))]


@pytest.mark.parametrize("name", ["Run", "RunInline"])
def test_a_huge_intermediate_is_refused(channel, name):
    error = refused(channel, name, *requests_of(name, HUGE))
    assert type(error) is errors.TooLargeError
    assert int(error.metadata["planned_bytes"]) >= 4 * 10**12
    (info,) = call(channel, "GetServerInfo", pb2.GetServerInfoRequest())
    assert int(error.metadata["limit_bytes"]) == info.limits.worker_memory_bytes > 0


@pytest.mark.parametrize("name", ["Run", "RunInline"])
def test_a_huge_intermediate_of_a_model_is_refused(channel, name):
    (response,) = call(channel, "LoadModel", *load_messages(HUGE, {}))
    error = refused(channel, name, *requests_of(name, response.model.id))
    assert type(error) is errors.TooLargeError
    assert int(error.metadata["planned_bytes"]) >= 4 * 10**12
    call(channel, "UnloadModel", pb2.UnloadModelRequest(model_id=response.model.id))


def test_a_huge_output_is_refused(channel):
    error = refused(channel, "Run", *requests_of("Run", [Upsample(10_000)]))
    assert type(error) is errors.TooLargeError
    assert int(error.metadata["planned_bytes"]) > 4 * 10**12
    error = refused(channel, "RunInline", *requests_of("RunInline", [Upsample(10_000)]))
    assert type(error) is errors.TooLargeError
    error = refused(channel, "RunInline", *requests_of("RunInline", [Upsample(50)]))
    assert type(error) is errors.InlineTooLargeError
    assert error.metadata["response_bytes"] == str(10**8)


def test_a_huge_output_of_a_model_is_refused(channel):
    (response,) = call(channel, "LoadModel", *load_messages([Upsample(10_000)], {}))
    error = refused(channel, "Run", *requests_of("Run", response.model.id))
    assert type(error) is errors.TooLargeError
    call(channel, "UnloadModel", pb2.UnloadModelRequest(model_id=response.model.id))


def spec(name):
    return tensor_pb2.TensorSpec(name=name, dtype=tensor_pb2.DTYPE_FLOAT32, shape=(1, 4))


def relu_network():
    return network_to_message(Network([ReLU()]))


def wide_network(count):
    """A layer that reads `count` times."""
    relu = layer_pb2.Layer(name="a", inputs=["input"], relu=layer_pb2.ReLU())
    add = layer_pb2.Layer(name="b", inputs=["a"] * count, add=layer_pb2.Add())
    return layer_pb2.Network(layers=[relu, add])


def plan(network, *inputs, **options):
    return planning_service_pb2.PlanRequest(network=network, inputs=inputs, **options)


def run(network, *tensors):
    return pb2.RunRequest(header=pb2.RunHeader(network=network, tensors=tensors))


def many_inputs(count):
    names = [f"i{number}" for number in range(count)]
    layer = layer_pb2.Layer(name="sum", inputs=names[:2], add=layer_pb2.Add())
    return layer_pb2.Network(layers=[layer], inputs=names)


CROWDS = {
    "tensors": ("Run", run(relu_network(), *[spec("t")] * 16_385), "tensors", "16385", "16384"),
    "inputs of a plan": (
        "Plan", plan(relu_network(), *[spec("i")] * 1025), "inputs", "1025", "1024",
    ),
    "inputs of a layer": (
        "Plan", plan(wide_network(1025), spec("")), "layers[1].inputs", "1025", "1024",
    ),
    "inputs of a network": ("Run", run(many_inputs(1025)), "inputs", "1025", "1024"),
    "bytes of a header": (
        "Run", run(relu_network(), *[spec("t")] * 400_000), "", None, str(2 << 20),
    ),
    "bytes of a plan request": ("Plan", plan(wide_network(1_000_000)), "", None, str(2 << 20)),
}  # fmt: skip


@pytest.mark.parametrize("case", CROWDS.values(), ids=CROWDS)
def test_too_many_are_refused_with_the_field_and_both_numbers(channel, case):
    name, request, field, value, limit = case
    error = refused(channel, name, request)
    assert type(error) is errors.TooLargeError
    assert error.field == field
    assert error.metadata == {"value": value or str(request.ByteSize()), "limit": limit}


def test_as_many_as_may_be_are_read(channel):
    request = plan(wide_network(1024), spec(""))
    assert call(channel, "Plan", request)[0].plan.layers[1].name == "b"


def test_a_plan_that_no_message_holds_is_refused_and_one_without_explanations_is_not(channel):
    layers = [Conv(1, 3, padding=1, name=f"{'n' * 120}{number}") for number in range(4096)]
    x = spec_to_message(spec_of("", X))
    request = plan(network_to_message(Network(layers)), x, explain=True)
    error = refused(channel, "Plan", request)
    assert type(error) is errors.TooLargeError
    assert "leave explanations out" in error.message
    assert int(error.metadata["value"]) > int(error.metadata["limit"]) == 8 << 20
    request.explain = False
    assert len(call(channel, "Plan", request)[0].plan.layers) == 4096


@pytest.fixture(scope="module")
def impatient():
    """A server that soon ends a call whose caller pauses."""
    flags = ("--stall-seconds=0.1", "--tensor-pool-bytes=128MiB", "--model-idle-seconds=0")
    with start_server(*flags) as running:
        yield running


@pytest.fixture
def impatient_channel(impatient):
    with grpc.insecure_channel(impatient.address) as made:
        yield made


def test_a_sender_that_pauses_gives_its_memory_back(impatient, impatient_channel):
    sends = threading.Event()

    def never_ends():
        yield pb2.RunRequest(header=header_of([ReLU()], {"input": X}))
        sends.wait()

    responses = method(impatient_channel, "Run")(never_ends(), timeout=60)
    assert next(responses).WhichOneof("message") == "accepted"
    with pytest.raises(grpc.RpcError) as caught:
        next(responses)
    sends.set()
    error = error_of(caught.value)
    assert type(error) is errors.DeadlineExceededError
    assert "nothing came on the stream for 0.1 s" in error.message
    assert in_flight(impatient) == 0


def test_a_reader_that_pauses_gives_its_memory_back(impatient, impatient_channel):
    x = ones(1, 1, 4096, 2048)  # 32 MiB: more than a connection holds on its way
    responses = method(impatient_channel, "Run")(
        stream(header_of([ReLU()], {"input": x}), [x]), timeout=60
    )
    assert next(responses).WhichOneof("message") == "accepted"
    for _ in range(100_000):  # each look is a round trip, and so a bound
        if in_flight(impatient) == 0:
            break
    else:
        pytest.fail("the memory was not given back")
    with pytest.raises(grpc.RpcError) as caught:
        list(responses)
    error = error_of(caught.value)
    assert type(error) is errors.DeadlineExceededError
    assert "nothing was read" in error.message


def test_a_caller_who_sends_slowly_and_then_reads_does_not_pause():
    """Nothing is read for longer than a pause may last, but all the while something comes."""
    x = ones(4, 1, 2048, 1536)  # rows of 12 MiB, each a block: more than a connection holds
    sent = threading.Event()
    with start_server("--stall-seconds=1") as running, grpc.insecure_channel(running.address) as to:

        def slowly():
            for number, message in enumerate(stream(header_of([ReLU()], {"input": x}), [x])):
                if number > 36:  # the header, and three rows: their results cannot be sent
                    spend(running, 0.15)
                yield message
            sent.set()

        responses = method(to, "Run")(slowly(), timeout=60)
        first = next(responses)
        assert sent.wait(60)
        np.testing.assert_array_equal(arrays_of_stream([first, *responses])["relu1"], x)


def spend(server, seconds):
    """Let so much time pass, in round trips."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        scrape(server.metrics_address)


def in_flight(server):
    return scrape(server.metrics_address)["convserve_tensor_bytes_in_flight"]


def test_a_model_that_nobody_uses_goes_by_itself(impatient_channel, impatient):
    call(impatient_channel, "LoadModel", *load_messages([Add(inputs=("input", "input"))], {}))
    for _ in range(10_000):
        if scrape(impatient.metrics_address)["convserve_models"] == 0:
            return
    pytest.fail("the model stayed")


def test_a_model_makes_room_for_the_next(channel):
    layers = [Conv(1 << 14, 1, bias=False)]
    weight = np.zeros((1 << 14, 1200, 1, 1), np.float32)  # 75 of the 128 MiB for models
    load = list(load_messages(layers, {"conv1.weight": weight}))
    first, second = (call(channel, "LoadModel", *load)[0].model.id for _ in range(2))
    (page,) = call(channel, "ListModels", pb2.ListModelsRequest())
    assert {first, second} & {model.id for model in page.models} == {second}
    assert type(refused(channel, "UnloadModel", pb2.UnloadModelRequest(model_id=first))) is (
        errors.ModelNotFoundError
    )
    call(channel, "UnloadModel", pb2.UnloadModelRequest(model_id=second))
