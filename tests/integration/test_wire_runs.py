"""Work that succeeds, over raw gRPC: runs, models, plans, and what the server tells of itself."""

import re
import threading

import grpc
import numpy as np
import pytest
from convserve import errors
from convserve.codec import from_message, network_to_message, operation_to_message
from convserve.layers import Add, Conv, ReLU
from convserve.networks import Network
from convserve.operations import Convolve
from convserve.plans import Plan
from convserve.tensors import spec_of, spec_to_message
from convserve.v1 import compute_service_pb2 as pb2
from convserve.v1 import planning_service_pb2

from tests.wire import (
    arrays_of,
    arrays_of_stream,
    call,
    header_of,
    inline,
    load_messages,
    method,
    ones,
    scrape,
    stream,
)

CONV = [Conv(6, 3, bias=False)]
X, WEIGHT = ones(2, 4, 8, 8), ones(6, 4, 3, 3)
WEIGHTS = {"conv1.weight": WEIGHT}
RESULT = np.full((2, 6, 6, 6), 36, np.float32)


@pytest.fixture(autouse=True)
def _nothing_is_left(server):
    yield
    assert scrape(server.metrics_address)["convserve_tensor_bytes_in_flight"] == 0


@pytest.fixture
def model(channel):
    (response,) = call(channel, "LoadModel", *load_messages(CONV, WEIGHTS))
    yield response.model
    call(channel, "UnloadModel", pb2.UnloadModelRequest(model_id=response.model.id))


def test_inline_and_stream_give_the_same(channel):
    tensors = {"input": X, **WEIGHTS}
    (response,) = call(channel, "RunInline", inline(CONV, tensors))
    np.testing.assert_allclose(arrays_of(response)["conv1"], RESULT, rtol=1e-5)
    header = header_of(CONV, tensors)
    streamed = call(channel, "Run", *stream(header, tensors.values()))
    np.testing.assert_array_equal(arrays_of_stream(streamed)["conv1"], arrays_of(response)["conv1"])


def test_the_record_of_a_call(channel):
    (response,) = call(channel, "RunInline", inline(CONV, {"input": X, **WEIGHTS}))
    record = response.summary
    assert re.fullmatch(r"[0-9a-f]{16}", record.request_id)
    assert record.device == "cpu"
    assert [step.name for step in record.steps] == ["conv1"]
    assert record.batch_size == 2
    for stage in ("decode", "queue", "transfer", "compute"):
        assert getattr(record, f"{stage}_seconds") > 0


def test_the_stages_are_in_the_trailing_metadata_too(channel):
    request = inline(CONV, {"input": X, **WEIGHTS})
    _, ended = method(channel, "RunInline").with_call(request, timeout=60)
    timings = dict(ended.trailing_metadata())["server-timing"]
    stages = re.findall(r"(\w+);dur=(\d+\.\d{3})(?:, |$)", timings)
    assert {name for name, _ in stages} == {"decode", "queue", "transfer", "compute", "encode"}
    assert all(float(milliseconds) >= 0 for _, milliseconds in stages)


def test_chunks_may_interleave_and_be_small(channel):
    header, *chunks = stream(header_of(CONV, {"input": X, **WEIGHTS}), [X, WEIGHT])
    responses = call(channel, "Run", header, *reversed(chunks))
    np.testing.assert_allclose(arrays_of_stream(responses)["conv1"], RESULT, rtol=1e-5)


def test_a_large_tensor_goes_through(channel):
    x = np.arange(-(3 << 20), 3 << 20, dtype=np.float32).reshape(1, 6, 1024, 1024)  # 24 MiB
    responses = call(channel, "Run", *stream(header_of([ReLU()], {"input": x}), [x]))
    assert len(responses) == 1 + 24 + 1
    np.testing.assert_array_equal(arrays_of_stream(responses)["relu1"], np.maximum(x, 0))


def test_channels_last(channel):
    x = np.moveaxis(X, 1, -1)
    tensors = {"input": np.ascontiguousarray(x), **WEIGHTS}
    request = inline(CONV, tensors, layout="LAYOUT_CHANNELS_LAST")
    (response,) = call(channel, "RunInline", request)
    assert arrays_of(response)["conv1"].shape == (2, 6, 6, 6)
    np.testing.assert_allclose(arrays_of(response)["conv1"], RESULT, rtol=1e-5)


def test_several_outputs_come_in_their_order(channel):
    network = Network([ReLU(), Add(inputs=("relu1", "input"))], outputs=("add1", "relu1"))
    x = np.array([[-1, 2]], np.float32)
    (response,) = call(channel, "RunInline", inline(network_to_message(network), {"input": x}))
    results = arrays_of(response)
    assert list(results) == ["add1", "relu1"]
    np.testing.assert_array_equal(results["add1"], [[-1, 4]])
    np.testing.assert_array_equal(results["relu1"], [[0, 2]])


def test_an_operation(channel):
    a, v = np.array([1.0, 2, 3]), np.array([0.0, 1, 0.5])
    (response,) = call(
        channel, "RunInline", inline(operation_to_message(Convolve()), {"a": a, "v": v})
    )
    np.testing.assert_allclose(arrays_of(response)["output"], np.convolve(a, v))
    assert response.summary.batch_size == 1


def test_a_long_network(channel):
    layers = [ReLU() for _ in range(300)]  # long enough to be read in a thread
    (response,) = call(channel, "RunInline", inline(layers, {"input": ones(1, 2)}))
    assert list(response.outputs[0].shape) == [1, 2]


def test_a_model_runs_as_it_was_loaded(channel, model):
    assert (model.weight_bytes, model.parameter_count, model.layer_count) == (864, 216, 1)
    assert (list(model.inputs), list(model.outputs)) == (["input"], ["conv1"])
    for _ in range(2):
        (response,) = call(channel, "RunInline", inline(model.id, {"input": X}))
        np.testing.assert_allclose(arrays_of(response)["conv1"], RESULT, rtol=1e-5)
    responses = call(channel, "Run", *stream(header_of(model.id, {"input": X}), [X]))
    np.testing.assert_allclose(arrays_of_stream(responses)["conv1"], RESULT, rtol=1e-5)


def test_a_model_takes_no_other_options(channel, model):
    request = inline(model.id, {"input": X}, layout="LAYOUT_CHANNELS_LAST")
    with pytest.raises(errors.InvalidArgumentError, match="runs as it was loaded") as caught:
        call(channel, "RunInline", request)
    assert caught.value.field == "options"


def test_a_model_checks_its_input_at_each_run(channel, model):
    with pytest.raises(errors.ShapeError, match="4"):
        call(channel, "RunInline", inline(model.id, {"input": ones(1, 5, 8, 8)}))


def test_an_unloaded_model_is_not_found(channel, server):
    (response,) = call(channel, "LoadModel", *load_messages(CONV, WEIGHTS))
    unload = pb2.UnloadModelRequest(model_id=response.model.id)
    assert scrape(server.metrics_address)["convserve_model_bytes"] == 896
    call(channel, "UnloadModel", unload)
    metrics = scrape(server.metrics_address)
    assert metrics["convserve_models"] == metrics["convserve_model_bytes"] == 0
    for name, message in (
        ("UnloadModel", unload),
        ("RunInline", inline(response.model.id, {"input": X})),
    ):
        with pytest.raises(errors.ModelNotFoundError) as caught:
            call(channel, name, message)
        assert caught.value.field == "model_id"


@pytest.mark.parametrize(
    ("weights", "part"),
    [({}, "conv1.weight"), ({**WEIGHTS, "conv9.weight": WEIGHT}, "conv9.weight")],
)
def test_missing_and_extra_weights_are_refused_at_load(channel, weights, part):
    with pytest.raises(errors.InvalidNetworkError, match=part):
        call(channel, "LoadModel", *load_messages(CONV, weights))


def test_a_load_that_ends_early_leaves_nothing(channel, server):
    header, *_ = load_messages(CONV, WEIGHTS)
    with pytest.raises(errors.ByteCountError):
        call(channel, "LoadModel", header)
    assert scrape(server.metrics_address)["convserve_model_bytes"] == 0


def test_models_may_take_half_of_the_pool(channel):
    message = pb2.LoadModelRequest(
        header=pb2.LoadModelHeader(
            network=network_to_message(Network([Conv(1 << 15, 1, bias=False)])),
            weights=[spec_to_message(spec_of("conv1.weight", ones(1, 1, 1, 1)))],
        )
    )
    message.header.weights[0].shape[:] = [1 << 15, 2048, 1, 1]
    message.header.weights[0].byte_count = 1 << 28
    with pytest.raises(errors.TooLargeError) as caught:
        call(channel, "LoadModel", message)
    assert caught.value.metadata == {
        "planned_bytes": str(1 << 28),
        "limit_bytes": str(1 << 27),
    }


def test_models_are_listed_in_pages_oldest_first(channel):
    ids = [call(channel, "LoadModel", *load_messages(CONV, WEIGHTS))[0].model.id for _ in range(3)]
    (page,) = call(channel, "ListModels", pb2.ListModelsRequest(page_size=2))
    assert [model.id for model in page.models] == ids[:2]
    call(channel, "UnloadModel", pb2.UnloadModelRequest(model_id=ids[0]))
    (rest,) = call(channel, "ListModels", pb2.ListModelsRequest(page_token=page.next_page_token))
    assert [model.id for model in rest.models] == ids[2:]
    assert rest.next_page_token == ""
    for name in ids[1:]:
        call(channel, "UnloadModel", pb2.UnloadModelRequest(model_id=name))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb2.ListModelsRequest(page_size=-1), "page_size"),
        (pb2.ListModelsRequest(page_token="%%%"), "page_token"),
        (pb2.ListModelsRequest(page_token="bW9kZWxzPng="), "page_token"),
    ],
)
def test_a_wrong_page_is_refused(channel, request_, field):
    with pytest.raises(errors.InvalidArgumentError) as caught:
        call(channel, "ListModels", request_)
    assert caught.value.field == field


def test_a_plan_is_the_same_again(channel):
    request = planning_service_pb2.PlanRequest(
        network=network_to_message(Network(CONV)),
        inputs=[spec_to_message(spec_of("", X))],
        explain=True,
    )
    first, second = (call(channel, "Plan", request)[0] for _ in range(2))
    assert first == second
    plan = from_message(first.plan, Plan)
    assert plan.output_shape == (2, 6, 6, 6)
    assert plan.parameter_count == 216
    assert plan.device == "cpu"
    assert plan.layers[0].explanation


def test_a_plan_of_a_batch_that_is_not_known(channel):
    request = planning_service_pb2.PlanRequest(
        network=network_to_message(Network(CONV)), inputs=[spec_to_message(spec_of("", X))]
    )
    request.inputs[0].shape[0] = -1
    request.inputs[0].byte_count = 0
    (response,) = call(channel, "Plan", request)
    assert response.plan.symbolic_batch
    assert list(response.plan.outputs[0].shape) == [-1, 6, 6, 6]


def test_the_server_tells_its_limits_and_devices(channel):
    (info,) = call(channel, "GetServerInfo", pb2.GetServerInfoRequest())
    (devices,) = call(channel, "ListDevices", planning_service_pb2.ListDevicesRequest())
    assert list(devices.devices[: len(info.devices)]) == list(info.devices)
    assert not any(device.available for device in devices.devices[len(info.devices) :])
    assert info.devices[0].name == "cpu"
    assert info.devices[0].available
    assert info.limits.tensor_pool_bytes == 256 << 20
    assert info.limits.max_inline_bytes == 1 << 20


def test_a_caller_that_gives_up_in_mid_stream_gives_its_memory_back(channel, server):
    x = ones(1, 4, 1024, 1024)
    header, *_ = stream(header_of([ReLU()], {"input": x}), [x])
    sends = threading.Event()

    def never_ends():
        yield header
        sends.wait()

    responses = method(channel, "Run")(never_ends(), timeout=60)
    assert next(responses).WhichOneof("message") == "accepted"
    assert scrape(server.metrics_address)["convserve_tensor_bytes_in_flight"] == 2 * x.nbytes
    responses.cancel()
    sends.set()
    wait_until_free(server)


def test_a_caller_that_leaves_while_results_come_is_no_fault_of_the_server(channel, server):
    x = ones(1, 4, 1024, 1024)
    messages = list(stream(header_of([ReLU()], {"input": x}), [x]))
    faults = sum(event["event"] == "fault" for event in server.events)
    for _ in range(8):
        responses = method(channel, "Run")(iter(messages), timeout=60)
        assert next(responses).WhichOneof("message") == "accepted"
        next(responses)
        responses.cancel()
    wait_until_free(server)
    assert sum(event["event"] == "fault" for event in server.events) == faults


def test_a_sender_that_stalls_is_ended_by_its_deadline(channel, server):
    sends = threading.Event()

    def never_ends():
        yield pb2.RunRequest(header=header_of([ReLU()], {"input": X}))
        sends.wait()

    responses = method(channel, "Run")(never_ends(), timeout=0.2)
    with pytest.raises(grpc.RpcError) as caught:
        list(responses)
    sends.set()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until_free(server)


def wait_until_free(server):
    """Until the server has seen the cancellation: each look is a round trip, and so a bound."""
    for _ in range(10_000):
        if scrape(server.metrics_address)["convserve_tensor_bytes_in_flight"] == 0:
            return
    pytest.fail("the memory was not given back")


def test_every_call_is_counted(channel, server):
    before = scrape(server.metrics_address).get('convserve_calls_total{code="OK",rpc="Plan"}', 0)
    request = planning_service_pb2.PlanRequest(
        network=network_to_message(Network(CONV)), inputs=[spec_to_message(spec_of("", X))]
    )
    call(channel, "Plan", request)
    metrics = scrape(server.metrics_address)
    assert metrics['convserve_calls_total{code="OK",rpc="Plan"}'] == before + 1
    assert metrics['convserve_received_bytes_total{rpc="Plan"}'] >= request.ByteSize()
    assert metrics["convserve_tensor_pool_bytes"] == 256 << 20


def test_the_longest_layer_name_has_room_for_its_weights(channel):
    layers, name = [Conv(1, 1, bias=False, name="n" * 128)], "n" * 128 + ".weight"
    tensors = {"input": ones(1, 1, 4), name: ones(1, 1, 1)}
    (response,) = call(channel, "RunInline", inline(layers, tensors))
    assert response.outputs[0].name == "n" * 128
