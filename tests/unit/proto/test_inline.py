"""RunInline's messages, written and read by hand."""

import pytest
from convserve.inline import (
    MAX_FIELDS,
    InlineRequest,
    inline_request,
    inline_response,
    output_specs,
    parse_inline,
    parse_inline_response,
    read_inline,
    read_inline_response,
)
from convserve.tensors import TensorSpec, spec_from_message
from convserve.v1 import compute_service_pb2 as pb2
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

SIZES = [0, 1, 127, 128, 16_383, 16_384, 2_097_152]
HEADER = pb2.RunHeader(model_id="m-1", options=pb2.RunOptions(device="cpu"))
SHARED = pb2.Shared(lease_id="l-1", tensors=[pb2.SharedTensor(tensor=1, offset=64)])
SPECS = (TensorSpec("y", "float32", (2, 3)), TensorSpec("z", "int8", ()))
SUMMARY = pb2.CallRecord(request_id="r-1", compute_seconds=0.5)


def values(sizes):
    return [bytes(index % 256 for index in range(size)) for size in sizes]


def request_of(message):
    """What protobuf finds in a request."""
    return message.header, list(message.data), message.shared


def read_request(request):
    """What there is in a request that was read by hand."""
    header = pb2.RunHeader.FromString(request.header)
    return header, [bytes(v) for v in request.data], pb2.Shared.FromString(request.shared)


@pytest.mark.parametrize("shared", [pb2.Shared(), SHARED])
@pytest.mark.parametrize("sizes", [[], [0], [3, 0], SIZES])
def test_a_request_is_what_protobuf_writes(sizes, shared):
    data = values(sizes)
    ours = inline_request(
        HEADER.SerializeToString(), map(memoryview, data), shared.SerializeToString()
    )
    theirs = pb2.RunInlineRequest(header=HEADER, data=data)
    if shared.lease_id:
        theirs.shared.CopyFrom(shared)
    assert ours == theirs.SerializeToString()


@pytest.mark.parametrize("offsets", [[], [0], [0, 64, 1 << 40]])
@pytest.mark.parametrize("sizes", [[], [0], [3, 0], SIZES])
def test_a_response_is_what_protobuf_writes_and_is_read_back(sizes, offsets):
    data = values(sizes)
    specs, summary = output_specs(SPECS), SUMMARY.SerializeToString()
    ours = inline_response(specs, map(memoryview, data), summary, offsets)
    theirs = pb2.RunInlineResponse.FromString(ours)
    assert ours == theirs.SerializeToString()
    assert tuple(map(spec_from_message, theirs.outputs)) == SPECS
    assert (theirs.summary, list(theirs.data), list(theirs.offsets)) == (SUMMARY, data, offsets)

    read = read_inline_response(ours)
    assert read is not None
    assert (read.specs, read.summary) == (specs, summary)
    assert (list(map(bytes, read.data)), list(read.offsets)) == (data, offsets)


def test_a_request_is_read_without_a_copy_of_its_values():
    message = inline_request(b"header", [b"one", b"", b"three"])
    request = read_inline(message)
    assert request is not None
    assert request.header == b"header"
    assert [v.obj is message for v in request.data] == [True] * 3
    assert list(map(bytes, request.data)) == [b"one", b"", b"three"]
    assert request.shared == b""


pieces = st.lists(
    st.builds(
        lambda tag, value: bytes((tag, len(value))) + value,
        st.sampled_from([0x0A, 0x12, 0x1A, 0x22, 0x2A]),
        st.binary(max_size=20),
    ),
    max_size=6,
).map(b"".join)


@given(st.binary(max_size=40) | pieces)
@example(b"\x0a\x80\x80\x80\x80\x80\x80\x00")
@example(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
def test_any_bytes_are_read_as_requests_as_protobuf_reads_them(data):
    try:
        message = pb2.RunInlineRequest.FromString(data)
    except DecodeError:
        with pytest.raises(DecodeError):
            read_request(parse_inline(data))
        return
    assert read_request(parse_inline(data)) == request_of(message)


@given(st.binary(max_size=40) | pieces)
@example(b"\x1a\x00\x22\x0b" + b"\xff" * 10 + b"\x01")
@example(b"\x1a\x00\x22\x0a" + b"\xff" * 9 + b"\x01")
@example(b"\x1a\x00\x22\x01\x80")
def test_any_bytes_are_read_as_responses_as_protobuf_reads_them(data):
    def read():
        response = parse_inline_response(data)
        outputs = pb2.RunInlineResponse.FromString(response.specs).outputs
        summary = pb2.CallRecord.FromString(response.summary)
        return list(outputs), list(map(bytes, response.data)), summary, list(response.offsets)

    try:
        message = pb2.RunInlineResponse.FromString(data)
    except DecodeError:
        with pytest.raises(DecodeError):
            read()
        return
    assert read() == (
        list(message.outputs),
        list(message.data),
        message.summary,
        list(message.offsets),
    )


FULL = inline_request(b"", [b""])


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x0a",
        b"\x0a\x05",
        b"\x0a" + b"\x80" * 5_000_000,
        b"\x12\x00" + FULL,
        FULL + b"\x0a\x00",
        FULL + b"\x1a\x00\x1a\x00",
        FULL + b"\x22\x00",
        FULL + b"\x12\x00" * MAX_FIELDS,
    ],
    ids=[
        "empty",
        "tag",
        "short",
        "endless-length",
        "data-first",
        "two-headers",
        "shared-twice",
        "unknown-field",
        "too-many",
    ],
)
def test_bytes_that_are_not_ours_are_left_to_protobuf(message):
    assert read_inline(message) is None


def test_a_request_that_protobuf_had_to_read_is_the_same():
    unknown = FULL + b"\x2a\x00"
    assert read_inline(unknown) is None
    read = parse_inline(unknown)
    assert isinstance(read, InlineRequest)
    assert read_request(read) == request_of(pb2.RunInlineRequest.FromString(FULL))
