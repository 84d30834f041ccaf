"""The fields of one layer in a file: read by name and type, and none left unread."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection, Mapping
from typing import Any, Final

from convserve.errors import InvalidNetworkError, UnsupportedError
from convserve.layers.fields import MAX_SIZE, Ints, is_int

MAX_ITEMS: Final = 16  # of one list of numbers
MAX_SHOWN: Final = 120  # characters of what a file holds, in an error
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = MAX_SHOWN


class FileFields:
    """The values of one layer's fields, `where` being how people find the layer in the file.

    Every getter marks its field as read and raises InvalidNetworkError, with layer, field and
    value, for one that is missing or of another type. A default stands for a field that the file
    leaves out or sets to None.
    """

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self.where = where
        self._values = values
        self._unread = dict.fromkeys(values)

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def get(self, name: str) -> Any:
        """The value as the file has it; None where there is none."""
        self._unread.pop(name, None)
        return self._values.get(name)

    def integer(self, name: str, default: int | None = None, low: int = 0) -> int:
        """An integer from `low` to 2^31 - 1."""
        value = self._given(name, default)
        if not is_int(value, low):
            raise self.wrong(name, f"an integer from {low} to {MAX_SIZE}")
        return int(value)

    def real(self, name: str, default: float | None = None) -> float:
        """A finite number."""
        value = self._given(name, default)
        if not is_real(value):
            raise self.wrong(name, "a finite number")
        return float(value)

    def flag(self, name: str, default: bool | None = None) -> bool:
        """True or False; 1 and 0 stand for them."""
        value = self._given(name, default)
        if value not in (True, False):
            raise self.wrong(name, "true or false")
        return bool(value)

    def word(self, name: str, choices: Collection[str], default: str | None = None) -> str:
        """One of `choices`. Another word is legal there but not done: UnsupportedError."""
        value = self._given(name, default)
        if not isinstance(value, str):
            raise self.wrong(name, f"one of {', '.join(choices)}")
        if value not in choices:
            raise self.unsupported(name, f"supported: {', '.join(choices)}")
        return value

    def integers(
        self, name: str, count: int | None = None, default: Ints | None = None, low: int = 0
    ) -> Ints:
        """Integers from `low`: a list of `count` of them, or one that stands for all."""
        value = self._given(name, default)
        items = tuple(value) if isinstance(value, list | tuple) else (value,) * (count or 1)
        if len(items) > MAX_ITEMS or not all(is_int(item, low) for item in items):
            raise self.wrong(name, f"an integer from {low} to {MAX_SIZE}, or a list of them")
        if count is not None and len(items) != count:
            raise self.wrong(name, f"{count} integers, one per axis")
        return items

    def require(self, name: str, neutral: Collection[Any], meaning: str) -> None:
        """Raise UnsupportedError unless the field is left out or has a value without effect."""
        value = self.get(name)
        if value is not None and value not in neutral:
            raise self.unsupported(name, meaning)

    def ignore(self, *names: str) -> None:
        """Take fields for read that change no result."""
        for name in names:
            self._unread.pop(name, None)

    def ignore_endings(self, *endings: str) -> None:
        """Take all fields whose names end so for read: they change no result."""
        self.ignore(*[name for name in self._unread if name.endswith(endings)])

    def finish(self) -> None:
        """Raise UnsupportedError for a field that has a value and that nobody has read."""
        for name in self._unread:
            if self._values[name] is not None:
                raise self.unsupported(name, "this field is not known here; remove it")

    def _given(self, name: str, default: Any) -> Any:
        value = self.get(name)
        return default if value is None else value

    def wrong(self, name: str, want: str) -> InvalidNetworkError:
        """The error for a value that is not what its field takes."""
        value = shown(self._values.get(name))
        return InvalidNetworkError(
            f"{self.where}: {name[:MAX_SHOWN]} is {value}, but must be {want}",
            field=name[:MAX_SHOWN],
            metadata={"value": value, "want": want},
        )

    def unsupported(self, name: str, meaning: str) -> UnsupportedError:
        """The error for a value that is legal in the file's format, but not done here."""
        value = shown(self._values.get(name))
        return UnsupportedError(
            f"{self.where}: {name[:MAX_SHOWN]} = {value} is not supported: {meaning}",
            field=name[:MAX_SHOWN],
            metadata={"value": value},
        )


def shown(value: Any) -> str:
    """A value as an error shows it: bounded, whatever a file holds."""
    return _SHORT.repr(value)


def is_real(value: Any) -> bool:
    """Whether a value is a finite number that a float holds."""
    try:
        return not isinstance(value, bool) and math.isfinite(value)
    except (OverflowError, TypeError):  # an integer of hundreds of digits, or no number
        return False
