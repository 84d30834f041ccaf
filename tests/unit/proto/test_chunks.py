"""Tensors in pieces, and put together again."""

import pytest
from convserve import errors
from convserve.chunks import MAX_CHUNK_BYTES, Assembler, Chunk, chunk_messages, read_chunk
from convserve.services import METHODS, parser
from convserve.tensors import TensorSpec
from convserve.v1 import compute_service_pb2, tensor_pb2
from crc32c import crc32c
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from tests.chunks import chunks as protobuf_chunks


def fields(chunk):
    """What a chunk says, whichever class it is of."""
    return chunk.tensor, chunk.offset, bytes(chunk.data), chunk.crc32c


@pytest.mark.parametrize(
    "message",
    [
        compute_service_pb2.RunRequest,
        compute_service_pb2.RunResponse,
        compute_service_pb2.LoadModelRequest,
    ],
)
@pytest.mark.parametrize("size", [1, 127, 128, 16_384, 3_000_000])
def test_chunk_messages_are_what_protobuf_writes(message, size):
    buffers = [memoryview(bytes(size)), memoryview(b""), memoryview(bytes(range(256)) * 9)]
    ours = [message.FromString(data) for data in chunk_messages(buffers, 1 << 20)]
    assert ours == [message(chunk=chunk) for chunk in protobuf_chunks(buffers, 1 << 20)]
    assert b"".join(m.chunk.data for m in ours) == b"".join(buffers)


chunk_values = {
    "tensor": st.integers(0, 2**31 - 1),
    "offset": st.integers(0, 2**62),
    "data": st.binary(max_size=300),
    "crc": st.integers(0, 2**32 - 1),
}


@given(**chunk_values)
def test_every_chunk_of_protobuf_is_read_as_protobuf_reads_it(tensor, offset, data, crc):
    chunk = tensor_pb2.TensorChunk(tensor=tensor, offset=offset, data=data, crc32c=crc)
    message = compute_service_pb2.RunRequest(chunk=chunk).SerializeToString()
    assert fields(parser(compute_service_pb2.RunRequest)(message)) == fields(chunk)


def test_our_own_messages_are_read_without_protobuf():
    buffer = memoryview(bytes(range(256)) * 1000)
    for message, chunk in zip(
        chunk_messages([buffer, buffer], 70_000),
        protobuf_chunks([buffer, buffer], 70_000),
        strict=True,
    ):
        read = read_chunk(message)
        assert read is not None
        assert isinstance(read.data, memoryview)
        assert fields(read) == fields(chunk)


@given(st.binary(max_size=40) | st.binary(max_size=40).map(lambda tail: b"\x12" + tail))
def test_any_bytes_are_read_as_protobuf_reads_them(data):
    read = parser(compute_service_pb2.RunRequest)
    try:
        message = compute_service_pb2.RunRequest.FromString(data)
    except DecodeError:
        with pytest.raises(DecodeError):
            read(data)
        return
    result = read(data)
    if message.WhichOneof("message") == "chunk":
        assert fields(result) == fields(message.chunk)
    else:
        assert result == message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x12",
        b"\x12\x00",
        b"\x12" + b"\x80" * 5_000_000,
        b"\x12\x02\x1a\x05",
        b"\x12\x03\x1a\x00\x00",
    ],
    ids=["empty", "tag", "no-fields", "endless-length", "short-data", "long-data"],
)
def test_bytes_that_are_not_ours_are_left_to_protobuf(data):
    assert read_chunk(data) is None


def test_messages_without_chunks_are_read_by_protobuf():
    request = METHODS["Plan"].request
    assert parser(request) == request.FromString


@pytest.fixture
def assembler():
    """Expects eight bytes."""
    spec = TensorSpec("x", "uint8", (8,))
    return Assembler([spec], [memoryview(bytearray(8))])


def piece(data, offset=0, tensor=0):
    return Chunk(tensor, offset, data, crc32c(data))


def test_a_stream_that_ends_early_is_refused(assembler):
    assembler.write(piece(b"12345"))
    with pytest.raises(errors.ByteCountError, match="5 of 8"):
        assembler.finish()


@pytest.mark.parametrize(
    ("chunk", "error"),
    [
        (piece(b"123456789"), errors.ByteCountError),
        (piece(b"12", offset=1), errors.ByteCountError),
        (piece(b"12", offset=-1), errors.ByteCountError),
        (piece(b"12", tensor=1), errors.InvalidArgumentError),
        (piece(b"12", tensor=-1), errors.InvalidArgumentError),
        (Chunk(0, 0, b"12", 5), errors.ChecksumError),
        (piece(b"\0" * (MAX_CHUNK_BYTES + 1)), errors.InvalidArgumentError),
    ],
    ids=["more", "gap", "negative", "unknown", "negative-tensor", "checksum", "huge"],
)
def test_wrong_chunks_are_refused(assembler, chunk, error):
    with pytest.raises(error):
        assembler.write(chunk)


def test_a_repeated_chunk_is_refused(assembler):
    assembler.write(piece(b"1234"))
    with pytest.raises(errors.ByteCountError):
        assembler.write(piece(b"1234"))


def test_bools_are_zero_or_one():
    spec = TensorSpec("x", "bool", (3,))
    assembler = Assembler([spec], [memoryview(bytearray(3))])
    with pytest.raises(errors.InvalidArgumentError, match="other than 0 and 1"):
        assembler.write(piece(b"\0\1\2"))
