"""Tensors in pieces: what a stream sends, and how it is put together again.

Values are copied once, from the tensor's memory into the message, and from the message into memory
that was there before. A message that holds nothing but a chunk does not go through protobuf's own
objects, each of which would copy it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen
from crc32c import crc32c

from convserve.errors import ByteCountError, ChecksumError, InvalidArgumentError
from convserve.tensors import TensorSpec, check_bools
from convserve.v1 import tensor_pb2
from convserve.varints import read_varint, varint

CHUNK_BYTES = 1 << 20
MAX_CHUNK_BYTES = 4 << 20
KEPT_BYTES = 4 << 20

# What stands before a field's value: its number, and 0 for a varint, 2 for a length, 5 for 4 bytes.
_CHUNK, _TENSOR, _OFFSET, _DATA, _CRC = 0x12, 0x08, 0x10, 0x1A, 0x25


def keep_buffers() -> None:
    """Have the C library keep the megabytes that chunks are made of, once they are freed.

    glibc learns from a large block that is freed: from then on blocks of its size come from the
    heap, which keeps twice as much. Before, each buffer of each chunk goes back to the system and
    is faulted in anew: 64 MiB were received in 47 ms so, and are in 27 ms after this.
    """
    bytes(KEPT_BYTES)  # never touched, so it costs no memory


@frozen(eq=False)
class Chunk:
    """A piece of one tensor that has come: the fields of the message TensorChunk."""

    tensor: int
    offset: int
    data: bytes | memoryview
    crc32c: int


def chunk_messages(
    buffers: Sequence[memoryview], chunk_bytes: int = CHUNK_BYTES
) -> Iterator[bytes]:
    """The values of several tensors in pieces, tensor by tensor, each a message to send.

    The bytes are those of any message whose field 2 is a TensorChunk, as it is in every stream.
    """
    for tensor, buffer in enumerate(buffers):
        yield from part_messages(tensor, buffer, 0, len(buffer), chunk_bytes)


def part_messages(
    tensor: int, buffer: memoryview, start: int, stop: int, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[bytes]:
    """The bytes from `start` to `stop` of one tensor in pieces, each a message to send."""
    for offset in range(start, stop, chunk_bytes):
        yield _chunk_message(tensor, offset, buffer[offset : min(offset + chunk_bytes, stop)])


def _chunk_message(tensor: int, offset: int, data: memoryview) -> bytes:
    chunk = tensor_pb2.TensorChunk(tensor=tensor, offset=offset, crc32c=crc32c(data))
    head = chunk.SerializeToString() + bytes((_DATA,)) + varint(len(data))
    return b"".join((bytes((_CHUNK,)), varint(len(head) + len(data)), head, data))


def read_chunk(message: bytes) -> Chunk | None:
    """The chunk of a message as `chunk_messages` writes it, without a copy.

    None for any other bytes, which protobuf must read: another client may write the same message in
    another way.
    """
    fields = {_TENSOR: 0, _OFFSET: 0, _CRC: 0}
    try:
        if message[0] != _CHUNK:
            return None
        length, at = read_varint(message, 1)
        if at + length != len(message):
            return None
        for tag in fields:
            if message[at] == tag == _CRC:
                fields[tag] = int.from_bytes(message[at + 1 : at + 5], "little")
                at += 5
            elif message[at] == tag:
                fields[tag], at = read_varint(message, at + 1)
        length, start = read_varint(message, at + 1)
        if message[at] != _DATA or start + length != len(message):
            return None
    except (IndexError, OverflowError):
        return None
    return Chunk(fields[_TENSOR], fields[_OFFSET], memoryview(message)[start:], fields[_CRC])


class Assembler:
    """Writes arriving chunks into their places, and knows when everything has come.

    `buffers` are writable bytes, one for each of `specs`, and exactly as long as their values.
    """

    def __init__(self, specs: Sequence[TensorSpec], buffers: Iterable[memoryview]) -> None:
        self._specs = list(specs)
        self._buffers = list(buffers)
        self._received = [0] * len(self._specs)

    @property
    def received(self) -> Sequence[int]:
        """The bytes of each tensor that have come. They are its first ones."""
        return self._received

    def write(self, chunk: Chunk) -> None:
        """Put one chunk in its place. Raises ByteCountError or ChecksumError."""
        data = chunk.data
        index = self._check(chunk, len(data))
        if crc32c(data) != chunk.crc32c:
            raise ChecksumError(
                f"the chunk at byte {chunk.offset} was damaged on the way: its CRC-32C differs",
                field=self._path(index),
                metadata={"offset": chunk.offset},
            )
        check_bools(self._specs[index], memoryview(data), self._path(index))
        self._buffers[index][chunk.offset : chunk.offset + len(data)] = data
        self._received[index] += len(data)

    def finish(self) -> None:
        """Raise ByteCountError if the stream ended early."""
        for index, (received, buffer) in enumerate(zip(self._received, self._buffers, strict=True)):
            if received < len(buffer):
                raise ByteCountError(
                    f"the stream ended after {received} of {len(buffer)} declared bytes",
                    field=self._path(index),
                    metadata={"received_bytes": received, "declared_bytes": len(buffer)},
                )

    def _check(self, chunk: Chunk, size: int) -> int:
        if not 0 <= chunk.tensor < len(self._specs):
            raise InvalidArgumentError(
                f"tensor {chunk.tensor} is not one of the {len(self._specs)} declared",
                field="chunk.tensor",
                metadata={"value": chunk.tensor, "limit": len(self._specs)},
            )
        received, length = self._received[chunk.tensor], len(self._buffers[chunk.tensor])
        if size > MAX_CHUNK_BYTES:
            raise InvalidArgumentError(
                f"a chunk of {size} bytes is above the limit of {MAX_CHUNK_BYTES}",
                field="chunk.data",
                metadata={"value": size, "limit": MAX_CHUNK_BYTES},
            )
        if chunk.offset != received or received + size > length:
            raise ByteCountError(
                f"a chunk of {size} bytes at {chunk.offset} does not follow the {received} bytes "
                f"received of {length} declared",
                field=self._path(chunk.tensor),
                metadata={"received_bytes": received + size, "declared_bytes": length},
            )
        return chunk.tensor

    def _path(self, index: int) -> str:
        return f"tensors[{self._specs[index].name!r}]"
