"""Results that are kept: what a caller asks for again is not made again."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from types import NoneType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

KEPT = 256
_PLAIN = frozenset((int, float, bool, str, NoneType))


def remembered(make: Callable[P, T]) -> Callable[P, T]:
    """`make`, which has no effect but its result, with the last results kept.

    They are found by positional arguments that are numbers, strings, None, tuples of integers, or
    tuples of those. Anything else, such as a list, is given to `make` each time: it may change, or
    equal something that `make` would refuse.
    """
    cached = lru_cache(KEPT, typed=True)(make)  # True and 1.0 are not 1

    @wraps(make, updated=())
    def remember(*args: P.args, **kwargs: P.kwargs) -> T:
        if kwargs or not all(map(_is_plain, args)):
            return make(*args, **kwargs)
        return cached(*args)

    return remember


def _is_plain(value: Any) -> bool:
    return type(value) in _PLAIN or (
        type(value) is tuple and all(type(item) is int or _is_ints(item) for item in value)
    )


def _is_ints(value: Any) -> bool:
    return type(value) is tuple and all(type(item) is int for item in value)
