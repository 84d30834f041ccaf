"""Arguments of plain types, checked where they come in: each error names its argument."""

from __future__ import annotations

import operator
from numbers import Real
from typing import SupportsIndex

import numpy as np
from convserve.errors import InvalidArgumentError

MAX_SECONDS = 1e8  # three years; clocks and locks overflow far above


def check_text(value: str, field: str) -> str:
    """The value, if it is a string."""
    if not isinstance(value, str):
        raise _wrong(value, "a string", field)
    return value


def check_flag(value: bool | np.bool_, field: str) -> bool:
    """The value as a Python bool, if it is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise _wrong(value, "True or False", field)
    return bool(value)


def check_count(value: SupportsIndex, field: str, low: int) -> int:
    """The value as a Python int, if it is an integer of at least `low`."""
    try:
        count = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        count = -1
    if count < low:
        raise _wrong(value, f"an integer of at least {low}", field)
    return count


def check_integer(value: SupportsIndex, field: str) -> int:
    """The value as a Python int, if it is an integer."""
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise _wrong(value, "an integer", field)


def check_seconds(value: float, field: str = "timeout") -> float:
    """The value as a Python float, if it is a number of seconds that a call can wait."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not 0 < value <= MAX_SECONDS:
        raise _wrong(value, f"a number of seconds above 0, at most {MAX_SECONDS:g}", field)
    return float(value)


def _wrong(value: object, want: str, field: str) -> InvalidArgumentError:
    shown = repr(value)[:200]
    return InvalidArgumentError(f"{shown} is not {want}", field=field, metadata={"value": shown})
