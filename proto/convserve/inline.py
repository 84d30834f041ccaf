"""RunInline's two messages as bytes, written and read without protobuf's own objects.

A tensor's values are copied once, into the message; reading copies none. What is no values stays
serialised, headers, specs and summaries: who knows the bytes need not read them again. The bytes
are those that protobuf writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from attrs import frozen

from convserve.tensors import TensorSpec, spec_to_message
from convserve.v1 import compute_service_pb2 as pb2
from convserve.varints import read_varint, read_varints, varint, varints

# What stands before a field's value: its number, and 2 for a length.
_HEADER, _DATA, _SHARED = b"\x0a", b"\x12", b"\x1a"
_SUMMARY, _OFFSETS = b"\x1a", b"\x22"

# The tags of a message's fields in the order in which they are written here, in a group for each.
_REQUEST = re.compile(rb"(\x0a)(\x12*)(\x1a?)")
_RESPONSE = re.compile(rb"(\x0a*)(\x12*)(\x1a)(\x22?)")
MAX_FIELDS = 4096  # protobuf is faster where there are more

Values: TypeAlias = bytes | memoryview
Span: TypeAlias = tuple[int, int]  # of a message's bytes: where a field's value begins and ends


@frozen(eq=False)
class InlineRequest:
    """RunInlineRequest: a serialised RunHeader, the tensors' values, and a serialised Shared.

    `header` and `shared` have not been read yet: they may hold bytes that are no such messages.
    """

    header: bytes
    data: tuple[Values, ...]
    shared: bytes = b""


@frozen(eq=False)
class InlineResponse:
    """RunInlineResponse: `outputs` as `output_specs` has them, values, a serialised CallRecord.

    `specs` and `summary` have not been read yet: they may hold bytes that are no such messages.
    """

    specs: bytes
    data: tuple[Values, ...]
    summary: bytes
    offsets: tuple[int, ...] = ()


def inline_request(header: bytes, data: Iterable[Values], shared: bytes = b"") -> bytes:
    """A RunInlineRequest of a serialised RunHeader, the tensors' values, and a serialised Shared.

    `data` are flat bytes; `shared` empty means none.
    """
    parts = _field(_HEADER, header)
    for values in data:
        parts += _field(_DATA, values)
    if shared:
        parts += _field(_SHARED, shared)
    return b"".join(parts)


def inline_response(
    specs: bytes, data: Iterable[Values], summary: bytes, offsets: Sequence[int] = ()
) -> bytes:
    """A RunInlineResponse of `output_specs`, the results' values, and a serialised CallRecord."""
    parts: list[Values] = [specs]
    for values in data:
        parts += _field(_DATA, values)
    parts += _field(_SUMMARY, summary)
    if offsets:
        parts += _field(_OFFSETS, varints(offsets))
    return b"".join(parts)


def output_specs(specs: Iterable[TensorSpec]) -> bytes:
    """The fields `outputs` of a RunInlineResponse."""
    return pb2.RunInlineResponse(outputs=map(spec_to_message, specs)).SerializeToString()


def read_inline(message: bytes) -> InlineRequest | None:
    """The parts of a RunInlineRequest as `inline_request` writes it, values without a copy.

    None for any other bytes, which protobuf must read: another client may write the same message in
    another way.
    """
    spans = _spans(message, _REQUEST)
    if spans is None:
        return None
    [header], data, shared = spans
    return InlineRequest(
        _bytes(message, header), _views(message, data), *(_bytes(message, span) for span in shared)
    )


def read_inline_response(message: bytes) -> InlineResponse | None:
    """The parts of a RunInlineResponse as `inline_response` writes it, or None; `read_inline`."""
    spans = _spans(message, _RESPONSE)
    if spans is None:
        return None
    outputs, data, [summary], offsets = spans
    try:
        places = [read_varints(_bytes(message, span)) for span in offsets]
    except (IndexError, OverflowError):
        return None
    specs_end = outputs[-1][1] if outputs else 0
    return InlineResponse(
        message[:specs_end], _views(message, data), _bytes(message, summary), *places
    )


def parse_inline(message: bytes) -> InlineRequest:
    """Any RunInlineRequest. Raises google.protobuf.message.DecodeError."""
    request = read_inline(message)
    if request is not None:
        return request
    given = pb2.RunInlineRequest.FromString(message)
    return InlineRequest(
        given.header.SerializeToString(), tuple(given.data), given.shared.SerializeToString()
    )


def parse_inline_response(message: bytes) -> InlineResponse:
    """Any RunInlineResponse. Raises google.protobuf.message.DecodeError."""
    response = read_inline_response(message)
    if response is not None:
        return response
    given = pb2.RunInlineResponse.FromString(message)
    specs = pb2.RunInlineResponse(outputs=given.outputs).SerializeToString()
    summary = given.summary.SerializeToString()
    return InlineResponse(specs, tuple(given.data), summary, tuple(given.offsets))


def _field(tag: bytes, value: Values) -> list[Values]:
    return [tag, varint(len(value)), value]


def _spans(message: bytes, layout: re.Pattern[bytes]) -> list[list[Span]] | None:
    """Where the values of a message lie, by groups of its layout; None if it has another one."""
    tags, spans, at = bytearray(), [], 0
    try:
        while at < len(message) and len(tags) < MAX_FIELDS:
            tags.append(message[at])
            length, start = read_varint(message, at + 1)
            if start - at > 5:  # protobuf refuses lengths of more bytes, and we write none
                return None
            at = start + length
            spans.append((start, at))
    except (IndexError, OverflowError):
        return None
    match = layout.fullmatch(tags) if at == len(message) else None
    if match is None:
        return None
    return [spans[slice(*match.span(group))] for group in range(1, layout.groups + 1)]


def _bytes(message: bytes, span: Span) -> bytes:
    return message[slice(*span)]


def _views(message: bytes, spans: Iterable[Span]) -> tuple[memoryview, ...]:
    view = memoryview(message)
    return tuple(view[start:end] for start, end in spans)
