"""Texts of layers: calls such as `nn.Conv2d(3, 64, 7)` to their fields, and fields to calls.

Nothing is evaluated: a call's arguments are literals, or names that stand for arrays.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import frozen
from convserve.errors import InvalidLayerError, InvalidNetworkError
from convserve.layers.fields import MAX_SIZE, Ints, Pairs, is_int

MAX_CHARS = 2000
MAX_NUMBERS = 16  # of one argument


@frozen
class Symbol:
    """A name in a text, such as that of an array."""

    name: str


@frozen
class Call:
    """A call: its dotted name, and its arguments."""

    name: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]

    @property
    def short_name(self) -> str:
        """What follows the last dot."""
        return self.name.rpartition(".")[2]


def check_length(text: str) -> str:
    """The text without blanks around it. Raises InvalidLayerError for one that is too long."""
    if len(text) > MAX_CHARS:
        raise InvalidLayerError(
            f"the text has {len(text)} characters; one layer has at most {MAX_CHARS}",
            metadata={"value": len(text), "limit": MAX_CHARS},
        )
    return text.strip()


@contextmanager
def reading() -> Iterator[None]:
    """What is no text of its format is said as of a layer's text."""
    try:
        yield
    except InvalidNetworkError as error:
        raise InvalidLayerError(f"it cannot be read: {error.message}") from None


def parse_call(text: str) -> Call:
    """The call that the text is. Raises InvalidLayerError for anything else."""
    text = check_length(text)
    try:
        if "\\" in text:
            raise ValueError("a backslash has no place in it")
        body = ast.parse(text, mode="eval").body
        if not isinstance(body, ast.Call):
            raise ValueError("it is no call such as Conv2d(3, 64, 7)")
        return _call(body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise InvalidLayerError(f"{text[:80]!r} cannot be read: {reason}") from None


def _call(node: ast.Call) -> Call:
    name = _value(node.func)
    if not isinstance(name, Symbol):
        raise ValueError("what is called has no name")
    keywords: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in keywords:
            raise ValueError(f"argument {keyword.arg or '**'} cannot be given like this")
        keywords[keyword.arg] = _value(keyword.value)
    return Call(name.name, tuple(_value(each) for each in node.args), keywords)


def _value(node: ast.expr) -> Any:
    """A literal, or the name of something."""
    match node:
        case ast.Name(id=name):
            return Symbol(name)
        case ast.Attribute(value=value, attr=name):
            before = _value(value)
            if isinstance(before, Symbol):
                return Symbol(f"{before.name}.{name}")
        case ast.Constant(value=value) if value is ...:
            return Symbol("...")
        case ast.Tuple(elts=items) | ast.List(elts=items):
            values = [_value(item) for item in items]
            return tuple(values) if isinstance(node, ast.Tuple) else values
        case ast.Constant(value=value) if value is None or isinstance(value, int | float | str):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)) if isinstance(
            value, int | float
        ):
            return -value
    raise ValueError(f"{ast.unparse(node)[:40]!r} is no number, text or name")


class TextFields:
    """Named values, taken one by one; `finish` refuses what nobody took."""

    def __init__(self, what: str, values: dict[str, Any]) -> None:
        self._what = what
        self._left = dict(values)

    @classmethod
    def of(cls, call: Call, positional: Sequence[str], skipped: int = 0) -> TextFields:
        """Those of a call whose arguments have these names in order, after `skipped` arrays."""
        given = call.arguments[skipped:]
        if len(given) > len(positional):
            raise InvalidLayerError(
                f"{call.name} is given {len(given)} arguments without a name, and takes "
                f"{len(positional)}: {', '.join(positional) or 'none'}",
            )
        values = dict(zip(positional, given, strict=False))
        for name in values.keys() & call.keywords.keys():
            raise InvalidLayerError(f"{call.name} is given {name} twice", field=name)
        return cls(call.name, values | call.keywords)

    def has(self, name: str) -> bool:
        """Whether it was given and not taken yet."""
        return name in self._left

    def skip(self, name: str, value: Any) -> bool:
        """Take the field if it has this value; whether it had."""
        if self._left.get(name) != value:
            return False
        del self._left[name]
        return True

    def take(self, name: str, default: Any = ...) -> Any:
        """The value as it was written. Raises InvalidLayerError if it is needed and lacks."""
        if name in self._left:
            return self._left.pop(name)
        if default is ...:
            raise InvalidLayerError(f"{self._what} needs {name}, which is not given", field=name)
        return default

    def ints(self, name: str, default: Ints | None = None, low: int = 1) -> Ints:
        """One integer or several, each at least `low`."""
        value = self.take(name, ... if default is None else default)
        return ints_of(self._what, name, value, low)

    def optional_ints(self, name: str, low: int = 1) -> Ints | None:
        """`ints`, or None where it was not given or is None."""
        if self._left.get(name) is None:
            self._left.pop(name, None)
            return None
        return self.ints(name, low=low)

    def integer(self, name: str, default: int | None = None, low: int = 1) -> int:
        """One integer of at least `low`."""
        values = self.ints(name, None if default is None else (default,), low)
        if len(values) != 1:
            raise _wrong(self._what, name, values, "one integer")
        return values[0]

    def flag(self, name: str, default: bool) -> bool:
        """True or False, or 1 or 0."""
        value = self.take(name, default)
        if value not in (0, 1) or not isinstance(value, int):
            raise _wrong(self._what, name, value, "True or False")
        return bool(value)

    def choice(self, name: str, default: str, choices: Sequence[str]) -> str:
        """One of some texts, whatever its case."""
        return choice_of(self._what, name, self.take(name, default), choices)

    def fixed(self, name: str, *values: Any) -> None:
        """Take a field of which only these values can be said here."""
        value = self.take(name, values[0])
        if value not in values:
            raise _wrong(self._what, name, value, f"{values[0]!r}: nothing else can be told here")

    def ignore(self, *names: str) -> None:
        """Take fields that change neither shape nor arithmetic."""
        for name in names:
            self._left.pop(name, None)

    def finish(self) -> None:
        """Raise InvalidLayerError for a field that nobody knows."""
        for name in self._left:
            raise InvalidLayerError(
                f"{self._what} has no field {name[:60]!r} that is known here; leave it out",
                field=name[:60],
            )


def ints_of(what: str, name: str, value: object, low: int = 1) -> Ints:
    """The integers that a value of field `name` of `what` is: one or several, each at least `low`.

    Raises InvalidLayerError.
    """
    items = tuple(value) if isinstance(value, tuple | list) else (value,)
    if not 1 <= len(items) <= MAX_NUMBERS or not all(is_int(item, low) for item in items):
        raise _wrong(what, name, value, f"integers from {low} to {MAX_SIZE}")
    return items


def choice_of(what: str, name: str, value: object, choices: Sequence[str]) -> str:
    """Which of `choices` a value of field `name` of `what` is, whatever its case.

    Raises InvalidLayerError.
    """
    text = value.name if isinstance(value, Symbol) else value
    found = [each for each in choices if isinstance(text, str) and each.lower() == text.lower()]
    if not found:
        raise _wrong(what, name, text, f"one of {', '.join(choices)}")
    return found[0]


def _wrong(what: str, name: str, value: object, want: str) -> InvalidLayerError:
    shown = repr(value)[:80]
    return InvalidLayerError(
        f"{name} of {what} is {shown}, but must be {want}", field=name, metadata={"value": shown}
    )


def begin_end(values: Ints, name: str = "pads") -> Pairs:
    """All begins and then all ends, as ONNX writes them, to (low, high) pairs."""
    if len(values) % 2:
        raise InvalidLayerError(
            f"{name} has {len(values)} numbers; it must have two for each axis", field=name
        )
    half = len(values) // 2
    return tuple(zip(values[:half], values[half:], strict=True))


def shown(values: Ints) -> str:
    """One number where all are equal, else a tuple."""
    return str(values[0]) if len(set(values)) == 1 else f"({', '.join(map(str, values))})"


def written(name: str, *arguments: object, **keywords: object) -> str:
    """A call. Keywords that are None are left out."""
    parts = [str(each) for each in arguments]
    parts += [f"{key}={value}" for key, value in keywords.items() if value is not None]
    return f"{name}({', '.join(parts)})"


def unless(values: Ints, default: int) -> str | None:
    """The numbers as they are shown; None where all are the default."""
    return None if set(values) == {default} else shown(values)
