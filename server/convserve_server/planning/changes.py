"""For a layer that cannot be, or gives another size than was wanted: the nearest that can.

Each candidate changes one field, to the value nearest to the present one that the size rules allow;
every one of them is planned before it is told. For a layer in a dialect, changes that it has no
words for, or that its runtime refuses, are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from attrs import evolve, frozen
from convserve.errors import ConvserveError
from convserve.explanations import Change
from convserve.layers import Layer
from convserve.layers.fields import MAX_SIZE, Ints, Pairs
from convserve.tensors import Shape

from convserve_server.planning.axes import resolve_padding
from convserve_server.planning.dialects.native import shown_value
from convserve_server.planning.dialects.words import CONVS, POOLS, TRANSPOSED, Axis, Words, words_of
from convserve_server.planning.layers import rule_of
from convserve_server.planning.windows import Window

Range: TypeAlias = tuple[int, int]  # the first and the last value that will do
MAX_CHANGES = 12
_FAR = 2 * MAX_SIZE


@frozen
class _Edit:
    """A field's new value, or the input's new shape, and how far it is from the present one."""

    text: str
    layer: Layer
    shape: Shape
    distance: int


def nearest_changes(
    layer: Layer, shape: Shape, wanted: Ints | None, takes: Callable[[Layer, Shape], bool]
) -> tuple[Change, ...]:
    """Edits of one field each, the nearest first, that make the layer possible for (C, *L).

    With `wanted`, one size per spatial axis, only those that give it. `takes` tells whether the
    runtime that it is written for takes a layer for a sample's shape.
    """
    found: dict[str, Change] = {}
    for edit in _edits(layer, shape, wanted):
        sizes = _sizes(edit.layer, edit.shape)
        if sizes and sizes == (wanted or sizes) and takes(edit.layer, edit.shape):
            change = Change(edit=edit.text, gives=shown_sizes(sizes), distance=edit.distance)
            found.setdefault(edit.text, change)
    return tuple(sorted(found.values(), key=lambda change: change.distance))[:MAX_CHANGES]


def shown_sizes(sizes: Ints) -> str:
    """`224`, or `224×112` where the axes differ."""
    return str(sizes[0]) if len(set(sizes)) == 1 else "×".join(map(str, sizes))


def _sizes(layer: Layer, shape: Shape) -> Ints:
    """The spatial sizes of the result; none for a layer that is impossible."""
    try:
        rule = rule_of(layer)
        sizes: Ints = rule.output_shape(rule.resolve(layer, (shape,)), (shape,))[1:]
    except ConvserveError:
        return ()
    return sizes


def _edits(layer: Layer, shape: Shape, wanted: Ints | None) -> Iterator[_Edit]:
    yield from _channel_edits(layer, shape)
    words = words_of(layer, shape[0])
    if words is None or words.rank not in (0, len(shape) - 1):
        return
    try:
        words = words.spread(len(shape) - 1)
        axes = [_numbers(words.axis(i, size)) for i, size in enumerate(shape[1:])]
    except ConvserveError:
        return
    goals = wanted or words.output_size or (None,) * len(axes)
    if len(goals) != len(axes):
        return
    solve = _solve_transposed if words.kind == TRANSPOSED else _solve_windows
    solved = [solve(axis, goal) for axis, goal in zip(axes, goals, strict=True)]
    yield from _number_edits(layer, shape, axes, solved)
    yield from _padding_edits(layer, shape, axes, [ranges["padding"] for ranges in solved])
    yield from _limit_edits(layer, shape, axes, words)
    yield from _mode_edits(layer, shape, words.kind)


def _numbers(axis: Axis) -> Axis:
    """The axis with a mode's numbers in its place."""
    if not isinstance(axis.padding, str):
        return axis
    window = Window(axis.length, axis.kernel_size, axis.stride, axis.dilation)
    [pair] = resolve_padding(axis.padding, [window])
    return evolve(axis, padding=pair)


def _solve_windows(axis: Axis, goal: int | None) -> dict[str, Range]:
    """Which values of each number give the goal (at least one window for None)."""
    total, e, s = sum(axis.pair), axis.span, axis.stride
    low = 0 if goal is None else (goal - 1) * s  # of n = L + T - e
    high = _FAR if goal is None else goal * s - 1
    spans = (axis.length + total - high, axis.length + total - low)
    n = axis.length + total - e
    strides = (s, s)
    if goal is not None and n >= 0:
        strides = (n // goal + 1, n // (goal - 1) if goal > 1 else _FAR)
    return {
        "input": (low - total + e, high - total + e),
        "padding": (low + e - axis.length, high + e - axis.length),
        "stride": strides,
        **_span_ranges(axis, spans),
    }


def _solve_transposed(axis: Axis, goal: int | None) -> dict[str, Range]:
    total, extra, s = sum(axis.pair), axis.output_padding or 0, axis.stride
    size = axis.natural - total + extra
    most = max(s, axis.dilation) - 1
    lack = goal - size if goal is not None else max(0, 1 - size)
    ranges = {
        "padding": (total - lack, total - lack),
        "output_padding": (extra + lack, extra + lack) if goal is not None else (0, most),
        "input": _exactly(axis.length, lack, s),
        "stride": _exactly(s, lack, axis.length - 1),
        **_span_ranges(axis, (axis.span + lack, axis.span + lack)),
    }
    if goal is None and extra > most:
        return ranges | {"stride": (extra + 1, _FAR), "dilation": (extra + 1, _FAR)}
    return ranges


def _span_ranges(axis: Axis, spans: Range) -> dict[str, Range]:
    """The kernel sizes, and the dilations, of spans from one to another."""
    low, high = max(spans[0], 1), spans[1]
    taps = axis.kernel_size - 1
    ranges = {"kernel_size": (-(-(low - 1) // axis.dilation) + 1, (high - 1) // axis.dilation + 1)}
    if taps:
        ranges["dilation"] = (max(1, -(-(low - 1) // taps)), (high - 1) // taps)
    return ranges


def _exactly(value: int, lack: int, step: int) -> Range:
    """The value that makes up for the lack in whole steps; none where there is none."""
    if not lack:
        return value, value
    return (value + lack // step,) * 2 if step > 0 and lack % step == 0 else (1, 0)


def _nearest(value: int, wanted: Range, least: int) -> int | None:
    low, high = max(wanted[0], least), wanted[1]
    return None if low > high else min(max(value, low), high)


def _number_edits(
    layer: Layer, shape: Shape, axes: list[Axis], solved: list[dict[str, Range]]
) -> Iterator[_Edit]:
    for name in ("kernel_size", "stride", "dilation", "output_padding", "input"):
        present = [getattr(axis, "length" if name == "input" else name) or 0 for axis in axes]
        least = 0 if name == "output_padding" else 1
        values = [
            _nearest(value, ranges.get(name, (1, 0)), least)
            for value, ranges in zip(present, solved, strict=True)
        ]
        if None in values or values == present:
            continue
        new = tuple(value for value in values if value is not None)
        distance = _distance(new, tuple(present))
        if name == "input":
            yield _Edit(f"input {shown_sizes(new)}", layer, (shape[0], *new), distance)
        elif hasattr(layer, name):
            yield _edit(layer, shape, name, new, distance)


def _padding_edits(
    layer: Layer, shape: Shape, axes: list[Axis], totals: list[Range]
) -> Iterator[_Edit]:
    pairs = [_nearest_pair(axis.pair, total) for axis, total in zip(axes, totals, strict=True)]
    new: Pairs = tuple(pair for pair in pairs if pair is not None)
    present = tuple(axis.pair for axis in axes)
    if len(new) == len(axes) and new != present:
        yield _edit(layer, shape, "padding", new, _padding_distance(new, axes))


def _padding_distance(pairs: Pairs, axes: list[Axis]) -> int:
    """As `_distance`; the same change on both sides counts once."""
    changes = {
        abs(low - axis.pair[0]) + abs(high - axis.pair[1])
        for (low, high), axis in zip(pairs, axes, strict=True)
    }
    is_even = all(low == high for low, high in pairs)
    return max(1, sum(changes) // 2 if is_even else sum(changes))


def _limit_edits(layer: Layer, shape: Shape, axes: list[Axis], words: Words) -> Iterator[_Edit]:
    """What is within a limit: of a size that can be reached, of padding that a border can give."""
    if words.output_size is not None:
        least = [axis.natural - sum(axis.pair) for axis in axes]
        reached = zip(words.output_size, least, axes, strict=True)
        sizes = tuple(min(max(size, low), low + axis.stride - 1) for size, low, axis in reached)
        yield _edit(layer, shape, "output_size", sizes, _distance(sizes, words.output_size))
    most = [_most_padding(axis, words) for axis in axes]
    numbers = zip(axes, most, strict=True)
    pairs = tuple((min(axis.pair[0], limit), min(axis.pair[1], limit)) for axis, limit in numbers)
    if pairs != tuple(axis.pair for axis in axes):
        yield _edit(layer, shape, "padding", pairs, _padding_distance(pairs, axes))
    if words.kind in POOLS:
        kernels = tuple(max(axis.kernel_size, 1 + max(axis.pair)) for axis in axes)
        distance = _distance(kernels, tuple(axis.kernel_size for axis in axes))
        yield _edit(layer, shape, "kernel_size", kernels, distance)


def _most_padding(axis: Axis, words: Words) -> int:
    if words.kind in POOLS:
        return axis.kernel_size - 1
    return axis.length - {"reflect": 1, "circular": 0}.get(words.padding_mode, -_FAR)


def _nearest_pair(pair: tuple[int, int], total: Range) -> tuple[int, int] | None:
    """The same number on both sides if that will do, else one more at the end."""
    if total[0] <= sum(pair) <= total[1]:
        return pair
    even = _nearest(pair[0], (-(-total[0] // 2), total[1] // 2), 0)
    if even is not None:
        return even, even
    whole = _nearest(sum(pair), total, 0)
    return None if whole is None else (whole // 2, whole - whole // 2)


def _mode_edits(layer: Layer, shape: Shape, kind: str) -> Iterator[_Edit]:
    """What is no number."""
    if getattr(layer, "padding", None) != "same":
        yield _Edit("padding='same'", evolve(layer, **_values(padding="same")), shape, 2)
    if kind in POOLS and not getattr(layer, "ceil_mode", True):
        yield _Edit("ceil_mode=True", evolve(layer, **_values(ceil_mode=True)), shape, 1)
    if kind in CONVS and getattr(layer, "padding_mode", "zeros") != "zeros":
        for mode in ("replicate", "zeros"):
            other = evolve(layer, **_values(padding_mode=mode))
            yield _Edit(f"padding_mode='{mode}'", other, shape, 3)


def _channel_edits(layer: Layer, shape: Shape) -> Iterator[_Edit]:
    """Groups that divide both channel counts, or channels that groups divide."""
    groups, out, channels = getattr(layer, "groups", 1), getattr(layer, "out_channels", 0), shape[0]
    if not out or not (channels % groups or out % groups):
        return
    for value in _divisors_around(math.gcd(channels, out), groups):
        yield _edit(layer, shape, "groups", value, abs(value - groups))
    for value in _multiples_around(out, groups) if not channels % groups else ():
        yield _edit(layer, shape, "out_channels", value, abs(value - out))
    for value in _multiples_around(channels, groups) if not out % groups else ():
        distance = abs(value - channels)
        yield _Edit(f"input channels {value}", layer, (value, *shape[1:]), distance)


def _divisors_around(number: int, value: int) -> list[int]:
    """The divisors next to a value, below and above."""
    small = [n for n in range(1, math.isqrt(number) + 1) if number % n == 0]
    divisors = sorted({*small, *(number // n for n in small)})
    below = [n for n in divisors if n < value][-1:]
    return below + [n for n in divisors if n > value][:1]


def _multiples_around(number: int, value: int) -> list[int]:
    below = number // value * value
    return [n for n in (below, below + value) if n]


def _edit(layer: Layer, shape: Shape, name: str, value: Any, distance: int) -> _Edit:
    if name == "output_padding" and getattr(layer, "output_size", None) is not None:
        layer = evolve(layer, **_values(output_size=None))
    try:
        other = evolve(layer, **_values(**{name: value}))
    except ConvserveError:  # beyond what the field may hold: it fails as it does now
        other = layer
    return _Edit(f"{name}={shown_value(value)}", other, shape, distance)


def _values(**values: Any) -> dict[str, Any]:
    """Fields by name, which the type of a layer does not tell."""
    return values


def _distance(new: Ints, present: Ints) -> int:
    """The sum over axes; the same change on all of them counts once."""
    return sum({abs(a - b) for a, b in zip(new, present, strict=True)})
