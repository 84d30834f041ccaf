"""How a layer's fields are parsed: once, at construction. Afterwards only tuples exist.

A converter brings what people write (`3`, `(3, 5)`, NumPy's numbers and arrays) into one form; a
validator checks it and knows the field's name. A tuple of one value stands for every spatial axis.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import cache
from itertools import islice
from numbers import Real
from typing import Any, SupportsFloat, SupportsIndex, TypeAlias, TypeVar

import numpy as np
from attrs import Attribute, field, fields, frozen

from convserve.errors import InvalidLayerError

Ints: TypeAlias = tuple[int, ...]
Pairs: TypeAlias = tuple[tuple[int, int], ...]
Padding: TypeAlias = str | Pairs

IntsLike: TypeAlias = SupportsIndex | Iterable[SupportsIndex]
PaddingLike: TypeAlias = str | SupportsIndex | Iterable[SupportsIndex | Iterable[SupportsIndex]]

PADDING_MODES = ("valid", "same", "same_upper", "same_lower", "causal", "full")
TRANSPOSED_PADDING_MODES = ("valid", "same", "same_upper", "same_lower")
BORDER_MODES = ("zeros", "reflect", "replicate", "circular")
MAX_SPATIAL_RANK = 3
MAX_SAMPLE_RANK = 7  # axes after the batch that a reshape may make: 3 factors, channels, 3 axes
MAX_ITEMS = 1 + MAX_SAMPLE_RANK  # of one field: a shape with its batch
MAX_SIZE = 2**31 - 1  # of one number: kernels and the sizes that they lead to stay indexable
NAME_PATTERN = re.compile(r"[A-Za-z0-9_./-]{1,128}")


def as_ints(value: IntsLike) -> Ints:
    """`3` to `(3,)`, an iterable to a tuple of ints. What is no integer is left for the check."""
    items = _items(value)
    return (_as_int(value),) if items is None else tuple(map(_as_int, items))


def as_optional_ints(value: IntsLike | None) -> Ints | None:
    """`as_ints`, with None left alone."""
    return None if value is None else as_ints(value)


def as_padding(value: PaddingLike) -> Padding:
    """`1` to `((1, 1),)`, `(1, 2)` to `((1, 1), (2, 2))`; pairs and modes stay."""
    if isinstance(value, str):
        return value
    items = _items(value)
    return tuple(map(_as_pair, (value,) if items is None else items))


def as_names(value: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """One name or several to a tuple of names. What is no name is left for the check."""
    if value is None:
        return None
    if isinstance(value, str):
        return (value,)
    try:
        return tuple(value)
    except TypeError:
        return (value,)  # type: ignore[return-value]  # the check refuses it by name


def as_int(value: SupportsIndex) -> int:
    """A Python int of anything that is an integer."""
    return _as_int(value)


def as_float(value: SupportsFloat) -> float:
    """A Python float of any real number. Anything else is left for the check."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return value  # type: ignore[return-value]  # the check refuses it by name
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf


def as_optional_float(value: SupportsFloat | None) -> float | None:
    """`as_float`, with None left alone."""
    return None if value is None else as_float(value)


def as_optional_int(value: SupportsIndex | None) -> int | None:
    """`as_int`, with None left alone."""
    return None if value is None else as_int(value)


def as_bool(value: bool | np.bool_) -> bool:
    """A Python bool of NumPy's. Anything else is left for the check."""
    return bool(value) if isinstance(value, np.bool_) else value


def _as_int(value: Any) -> int:
    if type(value) is int:
        return value
    if isinstance(value, bool):
        return value  # True is an int to Python, and a mistake here: the check refuses it
    try:
        return operator.index(value)
    except TypeError:
        return value  # type: ignore[no-any-return]  # the check refuses it by name


def _as_pair(value: Any) -> tuple[int, int]:
    items = _items(value)
    if items is None:
        return (_as_int(value), _as_int(value))
    return tuple(map(_as_int, items))  # type: ignore[return-value]  # checked below


def _items(value: Any) -> tuple[Any, ...] | None:
    """The first items of what has items in an order; None for anything else, text included.

    They are one more than any field takes, so that the check refuses what has more.
    """
    if type(value) is tuple:  # by far the most, as layers are made of layers
        return value[: MAX_ITEMS + 1]
    if isinstance(value, str | bytes | AbstractSet | Mapping):
        return None
    try:
        return tuple(islice(value, MAX_ITEMS + 1))
    except TypeError:  # no iterable, or an array without axes, which only looks like one
        return None


Check: TypeAlias = "Attribute[Any]"


def wrong(attribute: Check, value: object, want: str) -> InvalidLayerError:
    """The error for a value that is not what its field takes."""
    one = value[0] if isinstance(value, tuple) and len(value) == 1 else value
    shown = (repr(one) if isinstance(one, str) else str(one))[:200]
    return InvalidLayerError(
        f"{shown} is not {want}", field=attribute.name, metadata={"value": shown, "want": want}
    )


def is_int(value: object, low: int) -> bool:
    """Whether `value` is an integer (and no bool) from `low` to MAX_SIZE."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= MAX_SIZE


def positive(_: object, attribute: Check, value: object) -> None:
    """An integer of at least 1."""
    if not is_int(value, 1):
        raise wrong(attribute, value, f"an integer from 1 to {MAX_SIZE}")


def positive_ints(_: object, attribute: Check, value: Ints | None) -> None:
    """One integer of at least 1, or one per spatial axis."""
    _check_ints(attribute, value, 1)


def index(_: object, attribute: Check, value: object) -> None:
    """An integer of any sign."""
    if not is_int(value, -MAX_SIZE):
        raise wrong(attribute, value, f"an integer from -{MAX_SIZE} to {MAX_SIZE}")


def optional_index(_: object, attribute: Check, value: object) -> None:
    """An integer of any sign, or none."""
    if value is not None:
        index(_, attribute, value)


def non_negative_ints(_: object, attribute: Check, value: Ints | None) -> None:
    """One integer of at least 0, or one per spatial axis."""
    _check_ints(attribute, value, 0)


def _check_ints(attribute: Check, value: Any, low: int) -> None:
    if value is None:
        return
    if not 1 <= len(value) <= MAX_SPATIAL_RANK or not all(is_int(item, low) for item in value):
        want = f"an integer from {low} to {MAX_SIZE}, or one per spatial axis (1 to 3 axes)"
        raise wrong(attribute, value, want)


def boolean(_: object, attribute: Check, value: object) -> None:
    """True or False."""
    if not isinstance(value, bool):
        raise wrong(attribute, value, "True or False")


def finite(_: object, attribute: Check, value: object) -> None:
    """A finite number."""
    if not isinstance(value, float) or not math.isfinite(value):
        raise wrong(attribute, value, "a finite number")


def positive_finite(_: object, attribute: Check, value: object) -> None:
    """A finite number above 0."""
    finite(_, attribute, value)
    if not isinstance(value, float) or value <= 0:
        raise wrong(attribute, value, "a finite number above 0")


def optional_finite(_: object, attribute: Check, value: object) -> None:
    """A finite number, or none."""
    if value is not None:
        finite(_, attribute, value)


def one_of(*choices: str) -> Callable[[object, Check, object], None]:
    """The check for one of these strings."""

    def check(_: object, attribute: Check, value: object) -> None:
        if not isinstance(value, str) or value not in choices:
            raise wrong(attribute, value, f"one of {', '.join(choices)}")

    return check


def optional_one_of(*choices: str) -> Callable[[object, Check, object], None]:
    """The check for one of these strings, or None."""
    check = one_of(*choices)

    def check_given(instance: object, attribute: Check, value: object) -> None:
        if value is not None:
            check(instance, attribute, value)

    return check_given


border_mode = one_of(*BORDER_MODES)


def padding(_: object, attribute: Check, value: Padding) -> None:
    """Numbers, or any mode."""
    _check_padding(attribute, value, PADDING_MODES)


def transposed_padding(_: object, attribute: Check, value: Padding) -> None:
    """Numbers, or a mode that a transposed convolution has."""
    _check_padding(attribute, value, TRANSPOSED_PADDING_MODES)


def pooling_padding(_: object, attribute: Check, value: Padding) -> None:
    """Numbers, `valid` or a `same` mode."""
    _check_padding(attribute, value, TRANSPOSED_PADDING_MODES)


def numeric_padding(_: object, attribute: Check, value: Padding) -> None:
    """Numbers only."""
    _check_padding(attribute, value, ())


def _check_padding(attribute: Check, value: Any, modes: tuple[str, ...]) -> None:
    if isinstance(value, str):
        if value not in modes:
            raise wrong(attribute, value, f"a padding: use numbers{_or(modes)}")
        return
    if not 1 <= len(value) <= MAX_SPATIAL_RANK or not all(
        len(pair) == 2 and all(is_int(item, 0) for item in pair) for pair in value
    ):
        want = (
            f"an integer from 0 to {MAX_SIZE}, one per spatial axis, nested (low, high) pairs"
            f"{_or(modes)}"
        )
        raise wrong(attribute, value, want)


def _or(modes: tuple[str, ...]) -> str:
    return f", or one of {', '.join(modes)}" if modes else ""


def _name(_: object, attribute: Check, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str) or not NAME_PATTERN.fullmatch(value) or value == "input":
        raise wrong(
            attribute, value, "1 to 128 of the characters A-Z a-z 0-9 _ . / - and not 'input'"
        )


def _names(_: object, attribute: Check, value: tuple[object, ...] | None) -> None:
    if value is None:
        return
    if not value or not all(isinstance(n, str) and NAME_PATTERN.fullmatch(n) for n in value):
        raise wrong(attribute, value, "a name, or a sequence of names, of layers or inputs")


@frozen(kw_only=True)
class Layer:
    """What every kind of layer has.

    `name` is unique in its network; None lets the network name it. `inputs` names the layers or
    network inputs that it reads; None means the layer before it.
    """

    name: str | None = field(default=None, validator=_name)
    inputs: tuple[str, ...] | None = field(default=None, converter=as_names, validator=_names)


L = TypeVar("L", bound=Layer)


def settle(layer: L, **values: Any) -> L:
    """The layer with such fields, which are right: `attrs.evolve` without its checks.

    Those are for what people write, and take ten times as long.
    """
    kind = type(layer)
    settled = object.__new__(kind)
    for name in field_names(kind):  # type: ignore[arg-type]  # classes are hashable
        value = values[name] if name in values else getattr(layer, name)
        object.__setattr__(settled, name, value)
    return settled


@cache  # one entry per kind
def field_names(kind: type[Layer]) -> tuple[str, ...]:
    """The names of all fields of a kind of layer, in order."""
    return tuple(attribute.name for attribute in fields(kind))
