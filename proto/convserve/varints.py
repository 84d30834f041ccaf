"""Protobuf's integers of variable length, for messages that are written and read by hand."""

from __future__ import annotations

from collections.abc import Iterable


def varint(value: int) -> bytes:
    """Seven bits per byte, the lowest first; the high bit says that more follow. `value` >= 0."""
    if value <= 0x7F:
        return bytes((value,))
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def read_varint(message: bytes, at: int) -> tuple[int, int]:
    """A varint and where it ends. Raises IndexError, or OverflowError from 63 bits on."""
    value = 0
    for shift in range(0, 63, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte <= 0x7F:
            return value, at
    raise OverflowError


def varints(values: Iterable[int]) -> bytes:
    """One after the other, as a packed field holds them."""
    return b"".join(map(varint, values))


def read_varints(message: bytes) -> tuple[int, ...]:
    """All of a packed field. Raises IndexError and OverflowError."""
    values, at = [], 0
    while at < len(message):
        value, at = read_varint(message, at)
        values.append(value)
    return tuple(values)
