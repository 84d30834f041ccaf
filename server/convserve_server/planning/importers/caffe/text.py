"""Protobuf's text format, as far as prototxt files use it: fields, messages, lists, comments.

https://protobuf.dev/reference/protobuf/textformat-spec/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from attrs import Factory, frozen
from convserve.errors import InvalidNetworkError, TooLargeError

from convserve_server.planning.importers.fields import shown

MAX_TOKENS: Final = 1 << 18  # ResNet-152 has 30,000
MAX_DEPTH: Final = 16

_TOKEN = re.compile(  # possessive all over: nothing is tried twice, however long it is
    r"""
    (?P<space>(?:[\s,;]++|\#[^\n]*+)++)
    |(?P<number>[-+]?(?:0[xX][0-9a-fA-F]++
                       |(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][-+]?[0-9]++)?+)[fF]?+)
      (?![A-Za-z0-9_.])
    |(?P<word>-?[A-Za-z_][A-Za-z0-9_]*)
    |(?P<string>"(?:[^"\\\n]++|\\.)*+"|'(?:[^'\\\n]++|\\.)*+')
    |(?P<open>[{<]) |(?P<close>[}>]) |(?P<mark>[:\[\]])
    """,
    re.VERBOSE,
)
_WORDS = {"true": True, "false": False}


@frozen
class Message:
    """One `{ ... }`: the values of each field in the order of the file, and where it begins."""

    line: int
    fields: dict[str, list[Any]] = Factory(dict)

    def values(self) -> dict[str, Any]:
        """A field given once as its value, one given several times as the list of them."""
        return {key: each[0] if len(each) == 1 else each for key, each in self.fields.items()}

    def all(self, name: str) -> list[Any]:
        """Every value of a field that may be repeated."""
        return self.fields.get(name, [])

    def messages(self, name: str) -> list[Message]:
        """Every value of a field, which must be messages."""
        values = self.all(name)
        if not all(isinstance(value, Message) for value in values):
            raise _malformed(self.line, f"{name} must be followed by {{ ... }}")
        return values


@frozen
class _Token:
    kind: str
    text: str
    line: int


def read_text(text: bytes) -> Message:
    """The message that is the whole file. Raises InvalidNetworkError, TooLargeError."""
    try:
        content = text.decode()
    except UnicodeDecodeError as error:
        raise InvalidNetworkError(f"this is not UTF-8 text: {error}"[:200]) from None
    return _read_messages(_Tokens(content))


class _Tokens:
    """The tokens one by one, the next one visible."""

    def __init__(self, content: str) -> None:
        self._tokens = _scan(content)
        self.next = next(self._tokens)

    def take(self, kinds: str = "") -> _Token:
        """The next token, which must be one of the kinds."""
        token = self.next
        if token.kind == "end" or (kinds and token.kind not in kinds.split()):
            got = "the end of the file" if token.kind == "end" else shown(token.text)
            raise _malformed(token.line, f"{got} instead of a {kinds.replace(' ', ' or ')}")
        self.next = next(self._tokens)
        return token

    def skip(self, text: str) -> bool:
        """Take the next token if it is this mark."""
        if self.next.kind != "mark" or self.next.text != text:
            return False
        self.take()
        return True


def _scan(content: str) -> Iterator[_Token]:
    position, line, count = 0, 1, 0
    while position < len(content):
        match = _TOKEN.match(content, position)
        if match is None:
            raise _malformed(line, f"{shown(content[position : position + 20])} is no text format")
        kind, text = str(match.lastgroup), match.group()
        if kind != "space":
            count += 1
            if count > MAX_TOKENS:
                raise TooLargeError(f"more than {MAX_TOKENS} words; split the network")
            yield _Token(kind, text, line)
        line += text.count("\n")
        position = match.end()
    while True:
        yield _Token("end", "", line)


def _read_messages(tokens: _Tokens) -> Message:
    """Fields until the end; those within braces belong to the message on top of the stack."""
    stack = [Message(1)]
    while tokens.next.kind != "end" or len(stack) > 1:
        if tokens.next.kind == "close":
            _close(tokens.take(), stack)
            continue
        name = tokens.take("word")
        colon = tokens.skip(":")
        values = stack[-1].fields.setdefault(name.text, [])
        if tokens.next.kind == "open":
            _open(tokens.take(), stack, values)
        elif not colon:
            raise _malformed(name.line, f"{shown(name.text)} must be followed by ':' or '{{'")
        else:
            values += _read_values(tokens)
    return stack[0]


def _open(token: _Token, stack: list[Message], values: list[Any]) -> None:
    if len(stack) >= MAX_DEPTH:
        raise _malformed(token.line, f"messages are nested more than {MAX_DEPTH} deep")
    stack.append(Message(token.line))
    values.append(stack[-1])


def _close(token: _Token, stack: list[Message]) -> None:
    if len(stack) == 1:
        raise _malformed(token.line, f"{token.text!r} closes nothing")
    stack.pop()


def _read_values(tokens: _Tokens) -> Iterator[Any]:
    """One value, or a list of them in brackets. Strings side by side are one."""
    if not tokens.skip("["):
        yield _read_value(tokens)
        return
    while not tokens.skip("]"):
        yield _read_value(tokens)


def _read_value(tokens: _Tokens) -> Any:
    token = tokens.take("number word string")
    if token.kind == "word":
        return _WORDS.get(token.text, token.text)
    if token.kind == "number":
        return _number(token)
    parts = [token.text[1:-1]]
    while tokens.next.kind == "string":
        parts.append(tokens.take().text[1:-1])
    return "".join(parts)


def _number(token: _Token) -> int | float:
    text = token.text
    try:
        if "x" in text.lower():
            return int(text, 16)
        return int(text)
    except ValueError:  # a fraction, or an integer of thousands of digits
        pass
    try:
        return float(text.rstrip("fF"))
    except ValueError:
        raise _malformed(token.line, f"{shown(text)} is not a number") from None


def _malformed(line: int, problem: str) -> InvalidNetworkError:
    return InvalidNetworkError(f"line {line}: {problem}", metadata={"line": line})
