"""What the front and its worker process say to each other.

Every frame is four bytes of length, little endian, and a message in MessagePack. The front sends
`Run` and `Forget`, one at a time; the worker answers each with `Done` or `Failed`, and says `Ready`
once at the start. Work travels apart from the rest, as bytes, so that the worker can know a network
that it has seen by them.
"""

from __future__ import annotations

from asyncio import StreamReader
from socket import socket
from typing import TypeAlias

import msgspec
from convserve.codec import (
    layer_from_message,
    layer_to_message,
    operation_from_message,
    operation_to_message,
)
from convserve.errors import TooLargeError
from convserve.plans import StepRecord
from convserve.tensors import TensorSpec
from convserve.v1 import layer_pb2, operation_pb2

from convserve_server.cache import ByteCache
from convserve_server.planning.program import OperationStep, Program, Step, Work

MAX_FRAME_BYTES = 64 << 20
WORK_CACHE_BYTES = 64 << 20
OBJECT_BYTES = 10  # about what decoded work takes in Python objects per byte of its own
_LENGTH_BYTES = 4


class PlacedTensor(msgspec.Struct, frozen=True):
    """A tensor, and where it starts in the arena."""

    spec: TensorSpec
    address: int


class Run(msgspec.Struct, frozen=True, tag="run"):
    """Run `work` (see `encode_work`) on `tensors`, and fill `outputs`."""

    job_id: int
    work: bytes
    tensors: tuple[PlacedTensor, ...]
    outputs: tuple[PlacedTensor, ...]
    key: str
    layout: str


class Forget(msgspec.Struct, frozen=True, tag="forget"):
    """Drop what was kept for `key`."""

    job_id: int
    key: str


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The engine is loaded."""


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The request has been carried out."""

    job_id: int
    steps: tuple[StepRecord, ...] = ()
    compute_seconds: float = 0.0


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The request failed: with an error for the caller, or with a story for the log only."""

    job_id: int
    status: bytes = b""  # google.rpc.Status
    story: str = ""


Request: TypeAlias = Run | Forget
Reply: TypeAlias = Ready | Done | Failed
Message: TypeAlias = Request | Reply


class FrameError(Exception):
    """The bytes are not a frame of this protocol, or the other side has gone."""


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_works: ByteCache[bytes, Work] = ByteCache(WORK_CACHE_BYTES)


def encode_frame(message: Message) -> bytes:
    """The frame of a message. Raises TooLargeError."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME_BYTES:
        raise TooLargeError(
            f"the description of the work takes {len(body)} bytes, above the limit of "
            f"{MAX_FRAME_BYTES}; split the network",
            metadata={"planned_bytes": len(body), "limit": MAX_FRAME_BYTES},
        )
    return len(body).to_bytes(_LENGTH_BYTES, "little") + body


def _decode_body(body: bytes | bytearray) -> Message:
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise FrameError(f"{len(body)} bytes that are not a message: {error}") from error


def _decode_length(head: bytes | bytearray) -> int:
    length = int.from_bytes(head, "little")
    if length > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {length} bytes is above the limit of {MAX_FRAME_BYTES}")
    return length


async def read_frame(reader: StreamReader) -> Message:
    """The next message. Raises FrameError, and EOFError (IncompleteReadError) at the end."""
    length = _decode_length(await reader.readexactly(_LENGTH_BYTES))
    return _decode_body(await reader.readexactly(length))


def receive_frame(connection: socket) -> Message:
    """The next message from a blocking socket. Raises FrameError, and EOFError at the end."""
    length = _decode_length(_receive_exactly(connection, _LENGTH_BYTES))
    return _decode_body(_receive_exactly(connection, length))


def _receive_exactly(connection: socket, count: int) -> bytearray:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        received = connection.recv_into(view)
        if not received:
            raise EOFError
        view = view[received:]
    return data


class _StepMessage(msgspec.Struct, frozen=True):
    layer: bytes
    inputs: tuple[TensorSpec, ...]
    parameters: tuple[TensorSpec, ...]
    output: TensorSpec


class _ProgramMessage(msgspec.Struct, frozen=True, tag="program"):
    inputs: tuple[TensorSpec, ...]
    steps: tuple[_StepMessage, ...]
    outputs: tuple[str, ...]


class _OperationMessage(msgspec.Struct, frozen=True, tag="operation"):
    operation: bytes
    operands: tuple[TensorSpec, TensorSpec]
    output: TensorSpec


_work_decoder: msgspec.msgpack.Decoder[_ProgramMessage | _OperationMessage] = (
    msgspec.msgpack.Decoder(_ProgramMessage | _OperationMessage)
)


def encode_work(work: Work) -> bytes:
    """Work as bytes."""
    if isinstance(work, OperationStep):
        operation = operation_to_message(work.operation).SerializeToString()
        return _encoder.encode(_OperationMessage(operation, work.operands, work.output))
    steps = tuple(
        _StepMessage(
            layer_to_message(step.layer).SerializeToString(),
            step.inputs,
            step.parameters,
            step.output,
        )
        for step in work.steps
    )
    return _encoder.encode(_ProgramMessage(work.inputs, steps, work.outputs))


def decode_work(data: bytes) -> Work:
    """The work of `encode_work`. That of bytes decoded lately is remembered."""
    work = _works.get(data)
    if work is None:
        work = _decode_work(data)
        _works.put(data, work, (1 + OBJECT_BYTES) * len(data))
    return work


def _decode_work(data: bytes) -> Work:
    message = _work_decoder.decode(data)
    if isinstance(message, _OperationMessage):
        operation = operation_pb2.Operation.FromString(message.operation)
        return OperationStep(operation_from_message(operation), message.operands, message.output)
    steps = tuple(
        Step(
            layer_from_message(layer_pb2.Layer.FromString(step.layer)),
            step.inputs,
            step.parameters,
            step.output,
        )
        for step in message.steps
    )
    return Program(message.inputs, steps, message.outputs)
