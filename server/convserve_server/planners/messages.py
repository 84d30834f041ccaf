"""What the front and a planner process say to each other.

Every frame is four bytes of length, little endian, and a message in MessagePack. The front sends
an `Ask` and waits; the process says `Ready` once at the start, and answers each `Ask` with an
`Answer`.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

MAX_FRAME_BYTES = 64 << 20
LENGTH_BYTES = 4


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """Run a task on a request, and on `region`, (offset, bytes) of the shared memory, if given."""

    number: int
    task: str
    request: bytes
    region: tuple[int, int] | None = None


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The process waits for its first `Ask`."""


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """What a task gave: a response, an error for its caller, or a story for the log.

    `number` is the request's. Where memory ran out, there is none of the others: the process is of
    no use any more.
    """

    number: int
    response: bytes | None = None
    status: bytes = b""  # google.rpc.Status
    story: str = ""


Message: TypeAlias = Ask | Ready | Answer

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


class FrameError(Exception):
    """The bytes are not a frame of this protocol."""


def encode_frame(message: Message) -> bytes:
    """The frame of a message. Raises FrameError if it is too long."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {len(body)} bytes is above the limit of {MAX_FRAME_BYTES}")
    return len(body).to_bytes(LENGTH_BYTES, "little") + body


def decode_length(head: bytes) -> int:
    """The bytes that follow a frame's head. Raises FrameError."""
    length = int.from_bytes(head, "little")
    if length > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {length} bytes is above the limit of {MAX_FRAME_BYTES}")
    return length


def decode_body(body: bytes) -> Message:
    """The message of a frame. Raises FrameError."""
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise FrameError(f"{len(body)} bytes that are not a message: {error}") from error
