from functools import partial
from threading import Thread

import numpy as np
import pytest
from attrs import evolve
from convserve.chunks import Assembler
from convserve.codec import network_from_message, operation_from_message
from convserve.errors import (
    ByteCountError,
    ChecksumError,
    DTypeError,
    InlineTooLargeError,
    InternalError,
    InvalidArgumentError,
    ShapeError,
)
from convserve.layers import Conv, ConvTranspose, LeakyReLU, ReLU
from convserve.operations import ConvInputGradient, Convolve
from convserve.tensors import spec_from_message, wire_bytes
from convserve.v1 import compute_service_pb2 as compute_pb2
from convserve.v1 import planning_service_pb2 as planning_pb2
from convserve.v1 import precision_pb2
from convserve_client import _models, _networks, _operations, _signals

from tests.fakes.answers import RECORD, inline, loaded, stream
from tests.fakes.driver import ScriptedDriver

X = np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4)
W = np.ones((3, 2, 3, 3), np.float32)
Y = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
LARGE = np.zeros((1, 1, 600, 600), np.float32)


def run(flow, *answers):
    """The flow's result, and what it sent."""
    driver = ScriptedDriver(answers or [inline(y=Y)])
    result = driver.drive(flow(driver.session()))
    return result, driver.sent


def test_conv_is_a_network_of_one_layer_and_its_activation() -> None:
    result, [(name, [request], _)] = run(
        lambda s: _operations.conv(s, X, W, [1, 2, 3], 2, "same", 1, 1, "reflect", "relu")
    )
    np.testing.assert_array_equal(result, Y)
    assert name == "RunInline"
    network = network_from_message(request.header.network)
    assert network.layers == (
        Conv(3, (3, 3), 2, "same", padding_mode="reflect", name="conv1", inputs="input"),
        ReLU(name="relu1", inputs="conv1"),
    )
    assert [spec.name for spec in request.header.tensors] == ["input", "conv1.weight", "conv1.bias"]
    assert request.data[1] == W.tobytes()


def test_results_are_fresh_writable_and_contiguous() -> None:
    result, _ = run(lambda s: _operations.conv(s, X, W))
    assert result.flags.writeable
    assert result.flags.c_contiguous
    assert result.flags.owndata


def test_without_a_batch_the_result_has_none() -> None:
    result, [(_, [request], _)] = run(lambda s: _operations.conv(s, X[0], W))
    assert list(request.header.tensors[0].shape) == [1, 2, 4, 4]
    np.testing.assert_array_equal(result, Y[0])


def test_conv_transpose_counts_its_channels_by_group() -> None:
    _, [(_, [request], _)] = run(
        lambda s: _operations.conv_transpose(s, X, W[:2], stride=2, groups=2, output_size=(9, 9))
    )
    [layer] = network_from_message(request.header.network).layers
    assert isinstance(layer, ConvTranspose)
    assert (layer.out_channels, layer.output_size, layer.bias) == (4, (9, 9), False)


def test_a_gradient_without_a_batch() -> None:
    grad = np.zeros((3, 2, 2), np.float32)
    _, [(_, [request], _)] = run(
        lambda s: _operations.conv_input_gradient(s, grad, W, (2, 4, 4)), inline(output=X)
    )
    assert operation_from_message(request.header.operation) == ConvInputGradient((1, 2, 4, 4))


def test_a_gradient_of_mixed_ranks_is_refused() -> None:
    grad = np.zeros((3, 2, 2), np.float32)
    with pytest.raises(ShapeError, match="4 axes, but grad_output has 3") as caught:
        run(lambda s: _operations.conv_input_gradient(s, grad, W, (1, 2, 4, 4)))
    assert caught.value.field == "input_shape"


@pytest.mark.parametrize(("kernel_size", "rank"), [((3, 3), 4), (3, 3)])
def test_the_weight_gradient_needs_one_number_per_axis_to_know_the_batch(kernel_size, rank) -> None:
    flow = partial(
        _operations.conv_weight_gradient, x=X[0], grad_output=Y[0], kernel_size=kernel_size
    )
    _, [(_, [request], _)] = run(flow)
    assert [len(spec.shape) for spec in request.header.tensors] == [rank, rank]


def test_convolve_takes_lists() -> None:
    result, [(_, [request], _)] = run(
        lambda s: _signals.convolve(s, [1, 2, 3], [0.5, 0.5], "same", "fft"), inline(output=Y)
    )
    assert operation_from_message(request.header.operation) == Convolve("same", "fft")
    assert request.header.tensors[0].byte_count == 24
    np.testing.assert_array_equal(result, Y)


def test_options_travel() -> None:
    _, [(_, [request], _)] = run(
        lambda s: _operations.conv(
            s, X, W, device="cuda:0", precision="tf32", layout="channels_last", batch_invariant=True
        )
    )
    options = request.header.options
    assert options.device == "cuda:0"
    assert options.precision == precision_pb2.PRECISION_TF32
    assert options.batch_invariant


def test_a_call_has_the_priority_of_its_client() -> None:
    driver = ScriptedDriver([inline(y=Y), loaded("m-1")])
    session = driver.session(priority=-7)
    driver.drive(_operations.conv(session, X, W))
    driver.drive(_models.load(session, ReLU()))
    assert [request[0].header.options.priority for _, request, _ in driver.sent] == [-7, -7]


def test_a_repeated_call_with_other_tensors_says_so() -> None:
    driver = ScriptedDriver([inline(y=Y)] * 3)
    session = driver.session()
    for x in (X, X.astype(np.float64), X[:, :, 1:]):
        driver.drive(_operations.conv(session, x, W))
    specs = [request[0].header.tensors[0] for _, request, _ in driver.sent]
    assert [spec.byte_count for spec in specs] == [128, 256, 96]
    assert [list(spec.shape) for spec in specs] == [[1, 2, 4, 4], [1, 2, 4, 4], [1, 2, 3, 4]]


@pytest.mark.parametrize("stride", [True, (True, True), 1.0, (1.0, 1.0)])
def test_a_repeated_call_does_not_excuse_a_wrong_one(stride) -> None:
    run(lambda s: _operations.conv(s, X, W, stride=1))
    run(lambda s: _operations.conv(s, X, W, stride=(1, 1)))
    with pytest.raises(InvalidArgumentError) as caught:
        run(lambda s: _operations.conv(s, X, W, stride=stride))
    assert caught.value.field == "stride"


def test_an_inline_answer_with_too_few_results_is_an_error() -> None:
    def cut(requests):
        (response,) = inline(y=Y)(requests)
        del response.data[:]
        return [response]

    with pytest.raises(InternalError, match="0 of 1"):
        run(lambda s: _operations.pool(s, X), cut)


def test_large_tensors_go_through_a_stream() -> None:
    rng = np.random.default_rng(0)
    x = rng.random(LARGE.shape, np.float32)
    result, [(name, [header, *pieces], _)] = run(
        lambda s: _operations.pool(s, x), stream(chunk_bytes=100, y=Y)
    )
    assert name == "Run"
    received = np.empty_like(x)
    specs = [spec_from_message(spec) for spec in header.header.tensors]
    assembler = Assembler(specs, [wire_bytes(received)])
    for piece in pieces:
        assembler.write(piece.chunk)
    assembler.finish()
    np.testing.assert_array_equal(received, x)
    np.testing.assert_array_equal(result, Y)


def test_results_too_large_for_one_message_go_through_a_stream() -> None:
    result, sent = run(
        lambda s: _operations.conv(s, X, W), InlineTooLargeError("too large"), stream(y=Y)
    )
    assert [name for name, _, _ in sent] == ["RunInline", "Run"]
    np.testing.assert_array_equal(result, Y)


@pytest.mark.parametrize(("stride", "name"), [(1, "Run"), (8, "RunInline"), ((1, 1), "Run")])
def test_a_convolution_of_many_channels_expects_a_large_result(stride, name) -> None:
    many = np.ones((20_000, 2, 3, 3), np.float16)
    answer = stream(y=Y) if name == "Run" else inline(y=Y)
    _, sent = run(lambda s: _operations.conv(s, X, many, stride=stride), answer)
    assert [method for method, _, _ in sent] == [name]


def test_a_damaged_chunk_is_asked_for_again() -> None:
    def damaged(requests):
        responses = stream(y=Y)(requests)
        responses[1].chunk.crc32c ^= 1
        return responses

    result, sent = run(lambda s: _operations.pool(s, LARGE), damaged, stream(y=Y))
    assert len(sent) == 2
    np.testing.assert_array_equal(result, Y)


def test_an_inline_answer_with_too_few_bytes_is_an_error() -> None:
    def cut(requests):
        (response,) = inline(y=Y)(requests)
        response.data[0] = response.data[0][:-1]
        return [response]

    with pytest.raises(ByteCountError, match=rf"{Y.nbytes - 1}\D.*{Y.nbytes}"):
        run(lambda s: _operations.pool(s, X), cut)


def test_damage_twice_is_an_error() -> None:
    def damaged(requests):
        responses = stream(y=Y)(requests)
        responses[1].chunk.crc32c ^= 1
        return responses

    with pytest.raises(ChecksumError):
        run(lambda s: _operations.pool(s, LARGE), damaged, damaged)


@pytest.mark.parametrize(
    ("cut", "kind"),
    [(slice(0, -1), InternalError), (slice(1, None), InternalError)],
    ids=["no summary", "not accepted"],
)
def test_a_stream_that_makes_no_sense_is_an_error(cut, kind) -> None:
    with pytest.raises(kind, match="server"):
        run(lambda s: _operations.pool(s, LARGE), lambda r: stream(y=Y)(r)[cut])


def test_a_stream_that_lacks_bytes_is_an_error() -> None:
    def short(requests):
        responses = stream(chunk_bytes=8, y=Y)(requests)
        return [*responses[:-2], responses[-1]]

    with pytest.raises(ByteCountError, match="40 of 48"):
        run(lambda s: _operations.pool(s, LARGE), short)


def test_out_receives_the_result_and_is_returned() -> None:
    out = np.empty_like(Y)
    result, _ = run(lambda s: _operations.conv(s, X, W, out=out))
    assert result is out
    np.testing.assert_array_equal(out, Y)


def test_out_may_have_any_strides() -> None:
    out = np.zeros((1, 2, 2, 3), np.float32).transpose(0, 3, 1, 2)
    result, _ = run(lambda s: _operations.conv(s, X, W, out=out))
    assert result is out
    np.testing.assert_array_equal(out, Y)


def test_out_may_be_the_input_even_when_it_must_be_sent_again() -> None:
    x = np.random.default_rng(0).random(LARGE.shape, np.float32)
    before = x.copy()

    def half(requests):
        responses = stream(chunk_bytes=1 << 20, y=np.zeros_like(x))(requests)
        responses[2].chunk.crc32c ^= 1  # the first chunk has been received by then
        return responses

    result, sent = run(lambda s: _operations.pool(s, x, out=x), half, stream(y=before + 1))
    assert b"".join(r.chunk.data for r in sent[1][1][1:]) == before.tobytes()
    assert result is x
    np.testing.assert_array_equal(x, before + 1)


@pytest.mark.parametrize(
    ("out", "kind", "text"),
    [
        (np.empty((1, 3, 2, 3), np.float32), ShapeError, r"\(1, 3, 2, 3\).*\(1, 3, 2, 2\)"),
        (np.empty((1, 3, 2, 2), np.float64), DTypeError, "float64.*float32"),
        (np.empty((1, 3, 2, 2), ">f4"), DTypeError, ">f4.*float32"),
        (np.broadcast_to(np.float32(0), (1, 3, 2, 2)), InvalidArgumentError, "written"),
        ([0.0], InvalidArgumentError, "NumPy array"),
        ({"z": Y}, InvalidArgumentError, "called y"),
    ],
)
def test_out_must_fit(out, kind, text) -> None:
    with pytest.raises(kind, match=text) as caught:
        run(lambda s: _operations.conv(s, X, W, out=out))
    assert caught.value.field == "out"


def test_several_results_are_a_dict() -> None:
    out = {"a": np.empty_like(Y), "b": np.empty_like(X)}
    result, _ = run(
        lambda s: _networks.run(s, [ReLU()], X, out=out),
        inline(a=Y, b=X),
    )
    assert result["a"] is out["a"]
    np.testing.assert_array_equal(result["b"], X)


@pytest.mark.parametrize(
    ("call", "kind", "field"),
    [
        (lambda s: _operations.conv(s, X, W[0, 0]), ShapeError, "weight"),
        (
            lambda s: _operations.conv(s, X, W, activation="RELU"),
            InvalidArgumentError,
            "activation",
        ),
        (lambda s: _operations.conv(s, X, W, stride=0), InvalidArgumentError, "stride"),
        (lambda s: _operations.conv(s, [[1], [1, 2]], W), InvalidArgumentError, "x"),
        (lambda s: _operations.conv(s, [None], W), DTypeError, "x"),
        (lambda s: _operations.conv(s, X.astype("M8[s]"), W), DTypeError, "x.dtype"),
        (lambda s: _operations.conv(s, X, W, timeout=0), InvalidArgumentError, "timeout"),
        (lambda s: _operations.conv(s, X, W, precision="best"), InvalidArgumentError, "precision"),
        (lambda s: _operations.conv(s, X, W, precision="TF32"), InvalidArgumentError, "precision"),
        (lambda s: _operations.pool(s, X, "min"), InvalidArgumentError, "kind"),
        (lambda s: _operations.pool(s, X, "avg", dilation=0), InvalidArgumentError, "dilation"),
        (lambda s: _signals.convolve(s, X, X, "most"), InvalidArgumentError, "mode"),
        (lambda s: _networks.plan(s, ReLU(), (1, 2), training=1), InvalidArgumentError, "training"),
        (lambda s: _networks.run(s, ReLU(), X, {"input": X}), InvalidArgumentError, "weights"),
        (lambda s: _networks.plan(s, ReLU(), (1, "C", 2)), ShapeError, "input_shape"),
        (lambda s: _networks.plan(s, ReLU(), (1, -2)), ShapeError, "input_shape.shape[1]"),
        (lambda s: _networks.plan(s, ReLU(), (1, 2), "float7"), DTypeError, "dtype"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(call, kind, field) -> None:
    with pytest.raises(kind) as caught:
        run(call, inline(y=Y))
    assert caught.value.field == field


def test_plan_asks_for_shapes_by_name_and_an_unknown_batch() -> None:
    def answer(requests):
        [request] = requests
        assert list(request.inputs[0].shape) == [-1, 3, 8]
        assert request.explain
        response = planning_pb2.PlanResponse()
        response.plan.outputs.add(name="relu1", shape=[-1, 3, 8]).dtype = request.inputs[0].dtype
        return [response]

    result, _ = run(
        lambda s: _networks.plan(s, LeakyReLU(), {"input": ("N", 3, 8)}, np.float16), answer
    )
    assert result.output_shape == ("N", 3, 8)
    assert result.outputs[0].dtype == "float16"


def test_pages_of_models_are_joined() -> None:
    def page(token, model_id):
        response = compute_pb2.ListModelsResponse(next_page_token=token)
        response.models.add(id=model_id)
        return lambda _: [response]

    result, sent = run(_models.models, page("more", "m-1"), page("", "m-2"))
    assert [model.id for model in result] == ["m-1", "m-2"]
    assert [requests[0].page_token for _, requests, _ in sent] == ["", "more"]


def test_records_go_to_the_traces_of_their_session_only() -> None:
    driver = ScriptedDriver([inline(y=Y)] * 3)
    session, other = driver.session(), driver.session()
    with session.trace() as outer, other.trace() as others, session.trace() as inner:
        driver.drive(_operations.conv(session, X, W))
    driver.drive(_operations.conv(session, X, W))
    assert outer == inner == [evolve(RECORD, encode_seconds=0.25)]
    assert others == []


def test_traces_do_not_see_other_threads() -> None:
    driver = ScriptedDriver([inline(y=Y)])
    session = driver.session()
    with session.trace() as records:
        other = Thread(target=lambda: driver.drive(_operations.conv(session, X, W)))
        other.start()
        other.join()
    assert records == []
    assert len(driver.sent) == 1
