"""A cfg file as sections of options: `[name]`, then `key=value` lines."""

from __future__ import annotations

import re
from typing import Any, Final

from attrs import frozen
from convserve.errors import InvalidNetworkError, TooLargeError

from convserve_server.planning.importers.fields import MAX_ITEMS, FileFields, shown

MAX_LINES: Final = 1 << 18
MAX_SECTIONS: Final = 4096
MAX_OPTIONS: Final = 256  # of one section
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_REAL = re.compile(r"[-+]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][-+]?[0-9]{1,4})?")


@frozen
class Section:
    """One section. Values are integers, numbers, lists of them, or text."""

    name: str
    line: int
    values: dict[str, Any]

    def fields(self) -> FileFields:
        """The options, to be read one by one."""
        return FileFields(f"[{self.name[:80]}] of line {self.line}", self.values)


def read_sections(text: bytes) -> list[Section]:
    """The sections in their order. Blanks do not count; `#` and `;` begin comments.

    Raises InvalidNetworkError, TooLargeError.
    """
    count = text.count(b"\n")
    if count > MAX_LINES:
        raise TooLargeError(
            f"{count} lines are above the limit of {MAX_LINES}; split the network",
            metadata={"value": count, "limit": MAX_LINES},
        )
    sections: list[Section] = []
    for number, raw in enumerate(text.split(b"\n"), start=1):
        line = _decoded(raw, number)
        if not line or line[0] in "#;\0":
            continue
        if line[0] == "[":
            sections.append(_open(line, number, len(sections)))
        elif not sections:
            raise _malformed(number, f"{shown(line)} stands before the first [section]")
        else:
            _add(sections[-1].values, line, number)
    return sections


def _decoded(raw: bytes, number: int) -> str:
    try:
        return "".join(raw.decode().split())
    except UnicodeDecodeError:
        raise _malformed(number, "this is not UTF-8 text") from None


def _open(line: str, number: int, count: int) -> Section:
    if not line.endswith("]") or len(line) < 3:
        raise _malformed(number, f"{shown(line)} is no [section]")
    if count >= MAX_SECTIONS:
        raise TooLargeError(f"line {number}: more than {MAX_SECTIONS} sections")
    return Section(line[1:-1], number, {})


def _add(values: dict[str, Any], line: str, number: int) -> None:
    key, equals, value = line.partition("=")
    if not equals or not key:
        raise _malformed(number, f"{shown(line)} is neither a [section] nor key=value")
    if len(values) >= MAX_OPTIONS:
        raise _malformed(number, f"a section has more than {MAX_OPTIONS} options")
    values.setdefault(key, _value(value))  # Darknet takes the first of two


def _value(text: str) -> Any:
    """An integer, a number, a list of them where there are commas, or the text."""
    parts = text.rstrip(",").split(",", MAX_ITEMS)
    items = [_scalar(part) for part in parts]
    if len(items) > 1 and not any(isinstance(item, str) for item in items):
        return items
    return items[0] if len(items) == 1 else text


def _scalar(text: str) -> int | float | str:
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _REAL.fullmatch(text) else text


def _malformed(line: int, problem: str) -> InvalidNetworkError:
    return InvalidNetworkError(f"line {line}: {problem}", metadata={"line": line})
