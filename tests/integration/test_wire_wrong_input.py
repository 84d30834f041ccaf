"""Wrong input: the code, the reason, the field, both numbers; nothing is left in the pool."""

import numpy as np
import pytest
from convserve import errors
from convserve.codec import network_to_message
from convserve.layers import Conv, ConvTranspose, Flatten, ReLU
from convserve.networks import Network
from convserve.v1 import compute_service_pb2 as pb2
from convserve.v1 import layer_pb2, operation_pb2, planning_service_pb2, tensor_pb2

from tests.wire import call, header_of, inline, ones, scrape, stream


@pytest.fixture(autouse=True)
def _nothing_is_left(server):
    yield
    assert scrape(server.metrics_address)["convserve_tensor_bytes_in_flight"] == 0


def refused(channel, name, *messages):
    with pytest.raises(errors.ConvserveError) as caught:
        call(channel, name, *messages)
    return caught.value


def conv_header(x=(1, 4, 8, 8), weight=(6, 4, 3, 3), **fields):
    """A header with one conv, whose message's fields are set to `fields`."""
    tensors = {"input": ones(*x), "conv1.weight": ones(*weight)}
    header = header_of([Conv(6, 3, bias=False)], tensors)
    conv = header.network.layers[0].conv
    for name, value in fields.items():
        if isinstance(value, list):
            del getattr(conv, name)[:]
            getattr(conv, name).extend(value)
        elif name == "padding":
            conv.padding.CopyFrom(value)
        else:
            setattr(conv, name, value)
    return header


def transposed_header(output_padding):
    tensors = {"input": ones(1, 4, 8, 8), "conv_transpose1.weight": ones(4, 6, 3, 3)}
    header = header_of([ConvTranspose(6, 3, stride=2, bias=False)], tensors)
    header.network.layers[0].conv_transpose.output_padding.extend([output_padding])
    return header


def spec(name="input", dtype=tensor_pb2.DTYPE_FLOAT32, shape=(1, 4), byte_count=0):
    return tensor_pb2.TensorSpec(name=name, dtype=dtype, shape=shape, byte_count=byte_count)


def relu_header(*specs):
    return pb2.RunHeader(network=network_to_message(Network([ReLU()])), tensors=specs)


def convolve_header(a, v, **options):
    operation = operation_pb2.Operation(convolve=operation_pb2.Convolve())
    return header_of(operation, {"a": ones(*a), "v": ones(*v)}, **options)


def with_layers(*layers):
    return pb2.RunHeader(network=layer_pb2.Network(layers=layers), tensors=[spec()])


def layer(name, *inputs):
    return layer_pb2.Layer(name=name, inputs=inputs, relu=layer_pb2.ReLU())


LAYER, SHAPE, NETWORK = errors.InvalidLayerError, errors.ShapeError, errors.InvalidNetworkError

# header, class of the error, field, what the message holds
WRONG = {
    "kernel larger than padded input": (
        conv_header(x=(1, 4, 2, 2)), SHAPE, "layers[0].conv.kernel_size",
        ("spans 3", "padded height of 2"),
    ),
    "zero stride": (
        conv_header(stride=[0]), LAYER, "layers[0].conv.stride", ("0 is not an integer from 1 to",),
    ),
    "negative stride": (
        conv_header(stride=[-2]), LAYER, "layers[0].conv.stride",
        ("-2 is not an integer from 1 to",),
    ),
    "zero dilation": (
        conv_header(dilation=[0]), LAYER, "layers[0].conv.dilation",
        ("0 is not an integer from 1 to",),
    ),
    "negative dilation": (
        conv_header(dilation=[-1]), LAYER, "layers[0].conv.dilation",
        ("-1 is not an integer from 1 to",),
    ),
    "negative padding": (
        conv_header(padding=layer_pb2.Padding(low=[-1], high=[0])),
        LAYER, "layers[0].conv.padding", ("(-1, 0) is not an integer from 0 to",),
    ),
    "zero spatial size": (
        conv_header(x=(1, 4, 0, 8)), SHAPE, "tensors['input'].shape[2]",
        ("size 0 is below 1 in (1, 4, 0, 8)",),
    ),
    "zero channels": (
        conv_header(x=(1, 0, 8, 8)), SHAPE, "tensors['input'].shape[1]",
        ("size 0 is below 1 in (1, 0, 8, 8)",),
    ),
    "negative size": (
        relu_header(spec(shape=(1, 4, -3))), SHAPE, "tensors['input'].shape[2]",
        ("size -3 is not from 0 to",),
    ),
    "a batch that is not known": (
        relu_header(spec(shape=(-1, 4))), SHAPE, "tensors['input'].shape[0]",
        ("size -1", "limit is 0 or more"),
    ),
    "groups do not divide": (
        conv_header(groups=5), SHAPE, "layers[0].conv.groups", ("in_channels 4", "groups 5"),
    ),
    "weight of another shape": (
        conv_header(weight=(6, 3, 3, 3)), SHAPE, "tensors['conv1.weight'].shape",
        ("(6, 4, 3, 3)", "(6, 3, 3, 3)"),
    ),
    "rank of input and weight": (
        conv_header(x=(1, 4, 8), kernel_size=[3, 3]), LAYER, "layers[0].conv.kernel_size",
        ("2 values are given", "1 spatial axis"),
    ),
    "rank above the limit": (
        relu_header(spec(shape=[1] * 33)), SHAPE, "tensors['input'].shape", ("33", "32"),
    ),
    "output_padding too large": (
        transposed_header(2), LAYER, "layers[0].conv_transpose.output_padding",
        ("output_padding 2 must be less", "stride 2 and dilation 1", "at most 1"),
    ),
    "unknown dtype": (
        relu_header(spec(dtype=99)), errors.DTypeError, "tensors['input'].dtype", ("99",),
    ),
    "declared bytes": (
        relu_header(spec(byte_count=17)), errors.ByteCountError, "tensors['input'].byte_count",
        ("17", "16"),
    ),
    "a name that is none": (
        relu_header(spec(name="a\nb")), errors.InvalidArgumentError, "tensors[0].name", ("a\\nb",),
    ),
    "a name twice": (
        relu_header(spec(), spec()), errors.InvalidArgumentError, "tensors[1].name", ("input",),
    ),
    "an unknown tensor": (
        relu_header(spec(), spec("y")), NETWORK, "tensors",
        ("2 tensors are given and 1 needed", "not in the network: y"),
    ),
    "a missing tensor": (
        relu_header(), NETWORK, "tensors", ("0 tensors are given and 1 needed", "missing: input"),
    ),
    "a cycle": (
        with_layers(layer("a", "b"), layer("b", "a"), layer("c", "input")),
        NETWORK, "layers[0].inputs", ("cycle", "a, b"),
    ),
    "a dangling name": (
        with_layers(layer("a", "nowhere")), NETWORK, "layers[0].inputs[0]", ("nowhere",),
    ),
    "no layers": (with_layers(), NETWORK, "layers", ("at least one",)),
    "no kind": (
        with_layers(layer_pb2.Layer(name="a")), LAYER, "layers[0].kind", ("no kind",),
    ),
    "too many layers": (
        with_layers(*[layer("")] * 16385), errors.TooLargeError, "layers", ("16385", "16384"),
    ),
    "no work": (pb2.RunHeader(), errors.InvalidArgumentError, "work", ("network",)),
    "an unknown device": (
        header_of([ReLU()], {"input": ones(1, 4)}, device="cuda:9"),
        errors.DeviceNotFoundError, "options.device", ("cuda:9", "cpu"),
    ),
    "an unknown precision": (
        header_of([ReLU()], {"input": ones(1, 4)}, precision=77),
        errors.InvalidArgumentError, "options.precision", ("77",),
    ),
    "layout of an operation": (
        convolve_header((3,), (2,), layout="LAYOUT_CHANNELS_LAST"),
        errors.InvalidArgumentError, "options.layout", ("channels_last",),
    ),
    "operands of two ranks": (
        convolve_header((3,), (2, 2)), SHAPE, "tensors['v'].shape", ("a has 1 axes and v has 2",),
    ),
    "an empty operand": (
        convolve_header((3,), (0,)), SHAPE, "tensors['v'].shape", ("shape (0,)", "at least 1"),
    ),
    "2^32 x 2^32": (
        relu_header(spec(shape=(2**32, 2**32))), SHAPE, "tensors['input'].shape[0]",
        (str(2**32), str(2**31 - 1)),
    ),
    "10^15 outputs": (
        pb2.RunHeader(
            operation=operation_pb2.Operation(convolve=operation_pb2.Convolve()),
            tensors=[spec("a", shape=(10**5, 10**5, 10**5)), spec("v", shape=(1, 1, 1))],
        ),
        errors.TooLargeError, "", ("8000000000000064", str(256 << 20)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_wrong_headers(channel, case):
    header, kind, field, parts = case
    error = refused(channel, "Run", pb2.RunRequest(header=header))
    assert type(error) is kind
    assert error.field == field
    for part in parts:
        assert part in error.message


def test_both_numbers_of_a_work_that_is_too_large(channel, server):
    size = 10**15
    header = relu_header(spec(shape=(1, 10**5, 10**5, 10**5), byte_count=4 * size))
    assert header.ByteSize() < 200
    error = refused(channel, "Run", pb2.RunRequest(header=header))
    assert type(error) is errors.TooLargeError
    assert str(8 * size) in error.message
    assert str(256 << 20) in error.message
    assert error.retry_delay is None


def test_inline_refuses_what_is_above_its_limit(channel):
    big = ones(1, 1, 512, 768)
    error = refused(channel, "RunInline", inline([ReLU()], {"input": big}))
    assert type(error) is errors.InlineTooLargeError
    assert str(big.nbytes) in error.message
    assert str(1 << 20) in error.message
    assert error.metadata["request_bytes"] == str(big.nbytes)


def test_inline_takes_exactly_its_limit(channel):
    (response,) = call(channel, "RunInline", inline([ReLU()], {"input": ones(1, 1, 512, 512)}))
    assert len(response.data[0]) == 1 << 20
    with pytest.raises(errors.InlineTooLargeError):
        call(channel, "RunInline", inline([ReLU()], {"input": ones(1, 1, 1, (1 << 18) + 1)}))


def test_inline_refuses_a_message_that_no_call_may_open_with(channel):
    request = inline([ReLU()], {"input": ones(1, 1, 1024, 1024)})
    error = refused(channel, "RunInline", request)
    assert type(error) is errors.TooLargeError
    assert error.metadata == {"value": str(request.ByteSize()), "limit": str(2 << 20)}


def test_inline_refuses_a_response_above_its_limit(channel):
    tensors = {"input": ones(1, 1, 64, 64), "conv1.weight": ones(128, 1, 1, 1)}
    error = refused(channel, "RunInline", inline([Conv(128, 1, bias=False)], tensors))
    assert type(error) is errors.InlineTooLargeError
    assert error.metadata["response_bytes"] == str(128 * 64 * 64 * 4)


@pytest.mark.parametrize("data", [[b"\0" * 15], [b"\0" * 17], [], [b"\0" * 16, b""]])
def test_inline_values_that_are_not_as_declared(channel, data):
    header = relu_header(spec())
    error = refused(channel, "RunInline", pb2.RunInlineRequest(header=header, data=data))
    assert type(error) is errors.ByteCountError
    assert error.field == ("tensors['input']" if len(data) == 1 else "data")


def test_bools_are_zero_or_one(channel):
    request = inline([Flatten()], {"input": np.ones((1, 1, 2), np.bool_)})
    assert call(channel, "RunInline", request)[0].data == [b"\1\1"]
    request.data[0] = b"\1\2"
    error = refused(channel, "RunInline", request)
    assert type(error) is errors.InvalidArgumentError
    assert error.field == "tensors['input']"


X = ones(1, 4, 512, 512)  # 4 MiB: four chunks
MESSAGES = list(stream(header_of([ReLU()], {"input": X}), [X]))


def damaged():
    message = pb2.RunRequest.FromString(MESSAGES[2].SerializeToString())
    message.chunk.crc32c ^= 1
    return message


BYTES = errors.ByteCountError
STREAMS = {
    "fewer bytes": (MESSAGES[:-1], BYTES, "tensors['input']", (str(3 << 20), str(4 << 20))),
    "no bytes": (MESSAGES[:1], BYTES, "tensors['input']", ("0", str(4 << 20))),
    "more bytes": ([*MESSAGES, MESSAGES[-1]], BYTES, "tensors['input']", (str(4 << 20),)),
    "a gap": ([MESSAGES[0], MESSAGES[2]], BYTES, "tensors['input']", (str(1 << 20),)),
    "an unknown tensor": (
        [MESSAGES[0], pb2.RunRequest(chunk=tensor_pb2.TensorChunk(tensor=1))],
        errors.InvalidArgumentError, "chunk.tensor", ("1",),
    ),
    "a bad checksum": (
        [*MESSAGES[:2], damaged()], errors.ChecksumError, "tensors['input']", (str(1 << 20),),
    ),
    "a second header": (
        [MESSAGES[0], MESSAGES[0]], errors.InvalidArgumentError, "header", ("one header",),
    ),
    "a chunk first": ([MESSAGES[1]], errors.InvalidArgumentError, "header", ("chunk came first",)),
    "nothing": ([], errors.InvalidArgumentError, "header", ("nothing came first",)),
    "an empty message": (
        [pb2.RunRequest()], errors.InvalidArgumentError, "header", ("came first",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STREAMS.values(), ids=STREAMS)
def test_wrong_streams(channel, case):
    messages, kind, field, parts = case
    error = refused(channel, "Run", *messages)
    assert type(error) is kind
    assert error.field == field
    for part in parts:
        assert part in error.message


def test_a_caller_learns_of_the_error_while_it_still_sends(channel):
    header = relu_header(spec(shape=(1, 10**9, 10**6)))
    error = refused(channel, "Run", pb2.RunRequest(header=header), *MESSAGES[1:])
    assert type(error) is errors.TooLargeError


def test_plan_names_the_field(channel):
    request = planning_service_pb2.PlanRequest(
        network=conv_header(groups=5).network, inputs=[spec(shape=(1, 4, 8, 8))]
    )
    error = refused(channel, "Plan", request)
    assert (type(error), error.field) == (SHAPE, "layers[0].conv.groups")
    request = planning_service_pb2.PlanRequest(
        network=conv_header().network, inputs=[spec(dtype=99)]
    )
    assert refused(channel, "Plan", request).field == "inputs[0].dtype"
    request.device = "tpu"
    error = refused(channel, "Plan", request)
    assert (type(error), error.field) == (errors.DeviceNotFoundError, "device")


def test_an_error_with_a_huge_name_still_arrives(channel):
    name = "\N{GRINNING FACE}" * 500_000
    error = refused(channel, "Run", pb2.RunRequest(header=with_layers(layer("a", name))))
    assert isinstance(error, errors.InvalidArgumentError)


def test_batch_zero_is_legal(channel):
    request = inline([Conv(6, 3, bias=False)], {
        "input": ones(0, 4, 8, 8), "conv1.weight": ones(6, 4, 3, 3),
    })  # fmt: skip
    (response,) = call(channel, "RunInline", request)
    assert list(response.outputs[0].shape) == [0, 6, 6, 6]
    assert response.data == [b""]
