"""How fields are checked that name axes or sizes of whole samples."""

from __future__ import annotations

from convserve.layers.fields import MAX_SAMPLE_RANK, MAX_SIZE, Check, Ints, is_int, wrong

_AXES = frozenset(range(-MAX_SAMPLE_RANK, MAX_SAMPLE_RANK + 1)) - {0}
_AXIS = (
    f"an axis after the batch: numbered from 1 (the channels) to {MAX_SAMPLE_RANK}, or from -1 at "
    "the end"
)


def sample_shape(_: object, attribute: Check, value: Ints) -> None:
    """Sizes of at least 1 for the axes after the batch, of which one may be -1."""
    whole = _is_row(value) and all(is_int(item, -1) and item for item in value)
    if not whole or value.count(-1) > 1:
        want = f"1 to {MAX_SAMPLE_RANK} integers from 1 to {MAX_SIZE}, of which one may be -1"
        raise wrong(attribute, value, want)


def counts(_: object, attribute: Check, value: Ints) -> None:
    """A few integers of at least 1, one after the other."""
    if not _is_row(value) or not all(is_int(item, 1) for item in value):
        raise wrong(attribute, value, f"1 to {MAX_SAMPLE_RANK} integers from 1 to {MAX_SIZE}")


def axis(_: object, attribute: Check, value: object) -> None:
    """An axis after the batch: from 1, or from -1 at the end."""
    if not _is_axis(value):
        raise wrong(attribute, value, _AXIS)


def axes(_: object, attribute: Check, value: Ints) -> None:
    """One axis after the batch, or several different ones."""
    if not _is_row(value) or not all(map(_is_axis, value)) or len(set(value)) < len(value):
        raise wrong(attribute, value, f"one or several different ones of: {_AXIS}")


def order(_: object, attribute: Check, value: Ints) -> None:
    """The numbers from 1 to n, in any order."""
    whole = _is_row(value) and all(is_int(item, 1) for item in value)
    if not whole or set(value) != set(range(1, len(value) + 1)):
        raise wrong(
            attribute, value, "an order of the axes after the batch, numbered from 1: (2, 3, 1)"
        )


def _is_row(value: Ints) -> bool:
    return 1 <= len(value) <= MAX_SAMPLE_RANK


def _is_axis(value: object) -> bool:
    return is_int(value, -MAX_SAMPLE_RANK) and value in _AXES
