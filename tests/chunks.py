"""Chunks as any client makes them: with protobuf's own objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from convserve.chunks import CHUNK_BYTES
from convserve.v1 import tensor_pb2
from crc32c import crc32c


def chunks(
    buffers: Sequence[memoryview], chunk_bytes: int = CHUNK_BYTES
) -> Iterator[tensor_pb2.TensorChunk]:
    """The values of several tensors in pieces, tensor by tensor."""
    for tensor, buffer in enumerate(buffers):
        for offset in range(0, len(buffer), chunk_bytes):
            data = bytes(buffer[offset : offset + chunk_bytes])
            yield tensor_pb2.TensorChunk(
                tensor=tensor, offset=offset, data=data, crc32c=crc32c(data)
            )
