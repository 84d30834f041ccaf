"""One argument: what may be typed, and what it becomes."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from convserve.errors import InvalidArgumentError
from convserve.layers.fields import PADDING_MODES, Ints, PaddingLike

T = TypeVar("T")


def parse_list(text: str) -> Ints:
    """`2` to (2,), `2,3` to (2, 3)."""
    return tuple(_int(part) for part in text.split(","))


def parse_ints(text: str) -> int | Ints:
    """`2` to 2, `2,3` to (2, 3)."""
    values = parse_list(text)
    return values[0] if len(values) == 1 else values


def parse_padding(text: str) -> PaddingLike:
    """A mode, `1`, `1,2` per axis, or `0:1,2:2` as (low, high) per axis."""
    if text in PADDING_MODES:
        return text
    parts = [tuple(_int(number) for number in part.split(":")) for part in text.split(",")]
    if any(len(part) > 2 for part in parts):
        raise ValueError(f"{text!r} has more than two numbers for one axis")
    return tuple(part if len(part) == 2 else part[0] for part in parts)


def parse_shape(text: str) -> tuple[str, tuple[int | str, ...]]:
    """`Nx3x224x224`, or `name=Nx3x224x224`, to the input's name (or nothing) and its shape."""
    name, _, sizes = text.rpartition("=")
    first, *rest = sizes.split("x")
    batch: int | str = "N" if first == "N" else _int(first)
    return name, (batch, *map(_int, rest))


def parse_sizes(text: str) -> Ints:
    """`1x3x32x32` to its numbers."""
    return tuple(_int(size) for size in text.split("x"))


def parse_count(text: str) -> int:
    """A whole number from 1 on."""
    if (value := _int(text)) == 0:
        raise ValueError("0 is too few")
    return value


def parse_file(text: str) -> tuple[str, Path]:
    """`x.npy`, or `name=x.npy`, to the input's name (or nothing) and its path."""
    name, _, path = text.rpartition("=")
    return name, Path(path)


def _int(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{text[:40]!r} is not a whole number")
    if len(text) > 10:
        raise ValueError(f"{text[:40]} is too large: the limit is 2147483647")
    return int(text)


def _argument(parse: Callable[[str], T], want: str) -> Callable[[str], T]:
    """The parse function as argparse wants it: its errors say what is wanted."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise ArgumentTypeError(f"{error}; want {want}") from None

    return convert


def by_name(pairs: list[tuple[str, Any]] | None) -> Any:
    """The values by name; the value alone where there is one without a name; None of none."""
    if not pairs:
        return None
    if len(pairs) == 1 and not pairs[0][0]:
        return pairs[0][1]
    names = [name for name, _ in pairs]
    if "" in names or len(set(names)) < len(names):
        raise InvalidArgumentError(
            "with several inputs each needs a name of its own: NAME=...", field="--input"
        )
    return dict(pairs)


AXES = _argument(parse_list, "axes such as 2 or 2,3")
INTS = _argument(parse_ints, "an integer, or one per axis such as 2,2")
PADDING = _argument(
    parse_padding, f"integers such as 1, 1,2 or 0:1,2:2 (low:high), or {', '.join(PADDING_MODES)}"
)
COUNT = _argument(parse_count, "a whole number from 1 on")
SIZES = _argument(parse_sizes, "a shape such as 1x3x32x32")
SHAPE = _argument(parse_shape, "a shape such as 1x3x224x224 or Nx3x224x224")
