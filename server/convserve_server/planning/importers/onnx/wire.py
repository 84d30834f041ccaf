"""A walk over protobuf's wire format that copies nothing: what is long is told by its place.

protobuf's own objects would hold every weight a second time, and would have parsed a hostile file
whole before anything could be checked. https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from attrs import define, frozen
from convserve.errors import InvalidArgumentError, MalformedRequestError, TooLargeError
from convserve.tensors import Array

from convserve_server.planning.importers.imported import Span

MAX_FIELDS = 1_500_000  # about two seconds, and 200 MiB of Python objects at most
MAX_TEXT_BYTES = 4096
MAX_PACKED_BYTES = 16 << 20  # of numbers that have to be decoded; raw data has no such limit
_PIECE_BYTES = 1 << 20
_LONGEST_VARINT = 10  # bytes of 64 bits

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


@define
class Walk:
    """A file's bytes, and how many more fields may be looked at."""

    data: memoryview
    fields_left: int = MAX_FIELDS

    def count(self, fields: int) -> None:
        """Use up so many fields. Raises TooLargeError."""
        self.fields_left -= fields
        if self.fields_left < 0:
            raise TooLargeError(
                f"the file has more than {MAX_FIELDS} fields; keep weights as raw data, and leave "
                "out what is no part of the network",
                metadata={"limit": MAX_FIELDS},
            )


Read: TypeAlias = Callable[[Walk, Any], Any]


@frozen
class Field:
    """What a field of a message is called, and how a value of it is read.

    One that is repeated has up to `most` values. `packed` reads the numbers of a field that has
    them all in one piece.
    """

    name: str
    read: Read
    most: int = 0
    packed: Callable[[Walk, Span], list[Any]] | None = None


def parse(walk: Walk, span: Span, fields: Mapping[int, Field], what: str) -> dict[str, Any]:
    """The values of a message's fields by name; those that it lacks, or nobody knows, are left out.

    Raises MalformedRequestError for bytes that are no such message, TooLargeError.
    """
    values: dict[str, Any] = {}
    at, end = span.offset, span.offset + span.byte_count
    try:
        while at < end:
            walk.count(1)
            tag, at = _read_varint(walk.data, at)
            value, at = _value(walk, tag & 7, at, end)
            field = fields.get(tag >> 3)
            if field is not None:
                _put(walk, values, field, tag & 7, value)
    except (IndexError, OverflowError, struct.error, TypeError):
        raise _malformed(what, at) from None
    if at != end:
        raise _malformed(what, at)
    return values


def _value(walk: Walk, kind: int, at: int, end: int) -> tuple[Any, int]:
    if kind == _VARINT:
        return _read_varint(walk.data, at)
    if kind == _LENGTH:
        length, start = _read_varint(walk.data, at)
        if start + length > end:
            raise IndexError
        return Span(start, length), start + length
    if kind == _FIXED32:
        return walk.data[at : at + 4], at + 4
    if kind == _FIXED64:
        return walk.data[at : at + 8], at + 8
    raise IndexError  # groups, which ONNX has none of


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """An unsigned integer of up to 64 bits, and where it ends."""
    value = data[at]
    if value < 0x80:
        return value, at + 1
    value = 0
    for shift in range(0, 7 * _LONGEST_VARINT, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise OverflowError


def _put(walk: Walk, values: dict[str, Any], field: Field, kind: int, value: Any) -> None:
    if not field.most:
        values[field.name] = field.read(walk, value)
        return
    found = values.setdefault(field.name, [])
    if field.packed is not None and kind == _LENGTH:
        found.extend(field.packed(walk, value))
    else:
        found.append(field.read(walk, value))
    if len(found) > field.most:
        raise TooLargeError(
            f"more than {field.most} {field.name}; split the network",
            field=field.name,
            metadata={"limit": field.most},
        )


def _malformed(what: str, at: int) -> MalformedRequestError:
    return MalformedRequestError(
        f"at byte {at} there is no {what}: the file is damaged, or another program's",
        metadata={"offset": at},
    )


def read_int(_: Walk, value: Any) -> int:
    """A signed integer of 64 bits."""
    if not isinstance(value, int):
        raise TypeError
    return value - (1 << 64) if value >= 1 << 63 else value


def read_float(_: Walk, value: Any) -> float:
    """A number of 32 bits."""
    number: float = struct.unpack("<f", value)[0]
    return number


def read_span(_: Walk, value: Any) -> Span:
    """Bytes, by their place."""
    if not isinstance(value, Span):
        raise TypeError
    return value


def read_text(walk: Walk, value: Any) -> str:
    """A name. Raises InvalidArgumentError for one that is too long, or no text."""
    span = read_span(walk, value)
    if span.byte_count > MAX_TEXT_BYTES:
        raise InvalidArgumentError(
            f"a name has {span.byte_count} bytes, and the limit is {MAX_TEXT_BYTES}",
            metadata={"value": span.byte_count, "limit": MAX_TEXT_BYTES},
        )
    data = bytes(walk.data[span.offset : span.offset + span.byte_count])
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _malformed("name in UTF-8", span.offset) from None


def packed_ints(walk: Walk, span: Span) -> list[int]:
    """The signed integers of a packed field."""
    numbers = decode_varints(walk.data, span)
    walk.count(numbers.size)
    found: list[int] = numbers.tolist()
    return found


def packed_floats(walk: Walk, span: Span) -> list[float]:
    """The 32-bit numbers of a packed field."""
    walk.count(span.byte_count // 4)
    numbers = np.frombuffer(walk.data[span.offset : span.offset + span.byte_count], np.float32)
    found: list[float] = numbers.tolist()
    return found


def decode_varints(data: memoryview, span: Span) -> Array:
    """The int64 values of varints that lie one after the other."""
    _check_packed(span)
    raw = np.frombuffer(data[span.offset : span.offset + span.byte_count], np.uint8)
    if raw.size and raw[-1] >= 0x80:
        raise _malformed("integers", span.offset)
    pieces, start = [np.empty(0, np.int64)], 0
    while start < raw.size:  # piece by piece, for what it takes meanwhile is a multiple of it
        piece = raw[start : start + _PIECE_BYTES]
        last = np.flatnonzero(piece < 0x80)
        if not last.size:
            raise _malformed("integers", span.offset + start)
        pieces.append(_decode_piece(piece, last, span.offset + start))
        start += int(last[-1]) + 1
    return np.concatenate(pieces)


def _decode_piece(raw: Array, last: Array, offset: int) -> Array:
    """The varints that end at the positions `last`."""
    first = np.concatenate(([0], last[:-1] + 1))
    lengths = last - first + 1
    if lengths.max() > _LONGEST_VARINT:
        raise _malformed("integers", offset)
    values = np.zeros(last.size, np.uint64)
    for place in range(int(lengths.max())):
        more = lengths > place
        values[more] |= (raw[first[more] + place] & np.uint64(0x7F)) << np.uint64(7 * place)
    return values.view(np.int64)


def _check_packed(span: Span) -> None:
    if span.byte_count > MAX_PACKED_BYTES:
        raise TooLargeError(
            f"{span.byte_count} bytes of numbers would have to be decoded, and the limit is "
            f"{MAX_PACKED_BYTES}; keep large tensors as raw data (onnx.numpy_helper.from_array "
            "does)",
            metadata={"value": span.byte_count, "limit": MAX_PACKED_BYTES},
        )
