"""What the front and its worker process say to each other.

Every frame is four bytes of length, little endian, and a message in MessagePack. The front sends
`Run` and `Forget`; the worker answers each with `Done`, in their order, and says `Ready` once at
the start, or `Unable`. Segments of shared memory travel over a socket of their own, before they are
named. Work travels apart from the rest, as bytes, so that the worker can know a network that it has
seen by them; and so do the steps that ran, for the front.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import TypeAlias

import msgspec
from attrs import define
from convserve.codec import (
    layer_from_message,
    layer_to_message,
    operation_from_message,
    operation_to_message,
    to_message,
)
from convserve.errors import TooLargeError
from convserve.runs import CallRecord, StepRecord
from convserve.tensors import TensorSpec
from convserve.v1 import compute_service_pb2 as pb2
from convserve.v1 import layer_pb2, operation_pb2

from convserve_server.cache import ByteCache
from convserve_server.engines.base import STRICT, DeviceFacts
from convserve_server.planning.program import OperationStep, Program, Step, Work
from convserve_server.planning.tiling import Slices

MAX_FRAME_BYTES = 64 << 20
MAX_WORK_BYTES = MAX_FRAME_BYTES // 2  # the rest is for the addresses of the tensors of all parts
WORK_CACHE_BYTES = 64 << 20
STEPS_CACHE_BYTES = 8 << 20
OBJECT_BYTES = 10  # about what decoded work takes in Python objects per byte of its own
_LENGTH_BYTES = 4
_NO_STEPS = msgspec.Raw(msgspec.msgpack.encode(()))


class Taken(msgspec.Struct, frozen=True, array_like=True):
    """What a piece of work takes of a tensor that has this shape where it lies."""

    shape: tuple[int, ...]
    part: Slices


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One call's share of a batch: its rows, and where its tensors start.

    Addresses are of `work_tensors` and then of `work_outputs`: in the arena, or in the segments of
    these numbers from 1 on, one for each; 0 is the arena too.
    """

    rows: int
    addresses: tuple[int, ...]
    segments: tuple[int, ...] = ()


class Run(msgspec.Struct, frozen=True, tag="run"):
    """Run `work` (see `encode_work`) on the tensors of each part, and fill its outputs.

    Several parts are one batch: their work differs in the number of rows only (`work` is the
    first's), and they have equal weights. Nothing is done if the byte of the arena at `flag` is not
    0. For a piece of work, `taken` are the tensors by name that it does not take whole, and `kept`
    is what of a result counts, where that is not all: the rest must not reach its place. A worker
    that `is_frugal` gives what memory is free afterwards back to the system.
    """

    job_id: int
    work: bytes
    parts: tuple[Part, ...]
    key: str
    layout: str
    flag: int
    taken: dict[str, Taken] = {}
    kept: dict[str, Slices] = {}
    is_frugal: bool = False
    precision: str = STRICT


class Forget(msgspec.Struct, frozen=True, tag="forget"):
    """Drop what was kept for `key`."""

    job_id: int
    key: str


class Detach(msgspec.Struct, frozen=True, tag="detach"):
    """Unmap a segment: no request names it any more. There is no answer."""

    segment: int


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The engine is loaded; what it found out about the device, if it has one of its own."""

    device: DeviceFacts | None = None


class Unable(msgspec.Struct, frozen=True, tag="unable"):
    """The engine cannot be loaded."""

    reason: str


class Success(msgspec.Struct, frozen=True, array_like=True, tag="success"):
    """What ran, for how many seconds, on how many rows. `decode_steps` reads `steps`."""

    steps: msgspec.Raw = _NO_STEPS
    seconds: float = 0.0
    rows: int = 1


class Failure(msgspec.Struct, frozen=True, array_like=True, tag="failure"):
    """Why something was not computed: an error for its caller, or a story for the log only."""

    status: bytes = b""  # google.rpc.Status
    story: str = ""


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The request has been carried out: a Run with one outcome of all its parts, or one of each."""

    job_id: int
    outcomes: tuple[Success | Failure, ...] = ()

    def outcome(self, number: int) -> Success | Failure:
        """What became of a part."""
        return self.outcomes[number if len(self.outcomes) > 1 else 0]


Request: TypeAlias = Run | Forget | Detach
Reply: TypeAlias = Ready | Unable | Done
Message: TypeAlias = Request | Reply


class FrameError(Exception):
    """The bytes are not a frame of this protocol, or the other side has gone."""


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_works: ByteCache[bytes, Work] = ByteCache(WORK_CACHE_BYTES)


@define(eq=False, slots=False)
class Steps:
    """What ran, and what it comes to where it is told of. One object for equal steps."""

    records: tuple[StepRecord, ...]

    @cached_property
    def counts(self) -> Counter[tuple[str, str]]:
        """How many steps each (engine, algorithm) ran."""
        return Counter((record.engine, record.algorithm) for record in self.records)

    @cached_property
    def message(self) -> bytes:
        """The field `steps` of a CallRecord."""
        record = CallRecord(steps=self.records, batch_size=0, tile_count=0)  # zeros are not sent
        return to_message(record, pb2.CallRecord()).SerializeToString()


_steps_decoder = msgspec.msgpack.Decoder(tuple[StepRecord, ...])
_steps: ByteCache[bytes, Steps] = ByteCache(STEPS_CACHE_BYTES)


def encode_steps(records: tuple[StepRecord, ...]) -> msgspec.Raw:
    """What `decode_steps` reads."""
    return msgspec.Raw(_encoder.encode(records))


def decode_steps(raw: msgspec.Raw) -> Steps:
    """The steps of an answer. Those of bytes decoded lately are remembered."""
    data = bytes(raw)
    steps = _steps.get(data)
    if steps is None:
        steps = Steps(_steps_decoder.decode(data))
        _steps.put(data, steps, (2 + OBJECT_BYTES) * len(data))
    return steps


def encode_frame(message: Message) -> bytes:
    """The frame of a message."""
    body = _encoder.encode(message)
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


class FrameBuffer:
    """Frames put together from the bytes of a stream."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._wanted = _LENGTH_BYTES  # so many bytes are needed for another message

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are whole with `data`. Raises FrameError."""
        self._rest += data
        while len(self._rest) >= self._wanted:
            end = _LENGTH_BYTES + _decode_length(self._rest[:_LENGTH_BYTES])
            if len(self._rest) < end:
                self._wanted = end
                return
            body = bytes(self._rest[_LENGTH_BYTES:end])
            del self._rest[:end]
            self._wanted = _LENGTH_BYTES
            yield _decode_body(body)


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
    """Work as bytes. Raises TooLargeError if no frame has room for it and for its tensors."""
    data = _encoder.encode(_work_message(work))
    if len(data) > MAX_WORK_BYTES:
        raise TooLargeError(
            f"the description of the work takes {len(data)} bytes, above the limit of "
            f"{MAX_WORK_BYTES}; split the network",
            metadata={"planned_bytes": len(data), "limit": MAX_WORK_BYTES},
        )
    return data


def _work_message(work: Work) -> _ProgramMessage | _OperationMessage:
    if isinstance(work, OperationStep):
        operation = operation_to_message(work.operation).SerializeToString()
        return _OperationMessage(operation, work.operands, work.output)
    steps = tuple(
        _StepMessage(
            layer_to_message(step.layer).SerializeToString(),
            step.inputs,
            step.parameters,
            step.output,
        )
        for step in work.steps
    )
    return _ProgramMessage(work.inputs, steps, work.outputs)


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
