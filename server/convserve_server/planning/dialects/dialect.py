"""The interface of every dialect: a framework's way to write a layer, and who runs it how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from attrs import evolve, field, frozen
from convserve.layers.fields import Ints
from convserve.tensors import Shape

from convserve_server.planning.dialects.words import Axis, Words
from convserve_server.planning.windows import same_total, split


class InexpressibleError(Exception):
    """The framework has no words for the layer; the text says for what."""


class RefusedError(Exception):
    """A runtime refuses the layer; the text is its message."""


@frozen
class Placement:
    """What a runtime makes of one axis: `size` elements.

    `low` is how far before the input's first element the first window begins; for transposed
    layers, how many elements are cut from the start of the full result. `size` None: the runtime
    leaves the axis out. `note` says what else differs in the values.
    """

    size: int | None
    low: int = 0
    note: str = ""


Place: TypeAlias = Callable[[Axis], Placement]


@frozen(kw_only=True)
class Runtime:
    """Something that runs layers: its rule for each kind, and the version that it was read off.

    A rule raises RefusedError. `check` looks at the whole layer with one sample's shape first.
    Kinds without a rule are not run by it. `counts_padding` is whether an average pool's mean
    counts padding; None: as it is told. `write` is for one with other words than its dialect's.
    """

    name: str
    version: str
    rules: Mapping[str, Place]
    counts_padding: bool | None = None
    write: Callable[[Words], str] | None = None
    check: Callable[[Words, Shape], None] = lambda _words, _shape: None

    def place(self, words: Words, shape: Shape) -> tuple[Placement, ...]:
        """Every axis of a layer (spread over the axes) for a sample (C, *L)."""
        self.check(words, shape)
        rule = self.rules[words.kind]
        return tuple(rule(words.axis(index, size)) for index, size in enumerate(shape[1:]))


@frozen(kw_only=True)
class Dialect:
    """A framework's way to write a layer.

    `read` takes text to words and raises InvalidLayerError with the wrong field; `write` is its
    inverse for words spread over their axes, and raises InexpressibleError. `meaning` puts the
    framework's rules into words whose meaning is ours, for an input of some spatial sizes, None
    where they are not known. `exact` writes a layer whose padding is
    numbers by more than one layer where one cannot say it. `weights` says how to bring our weights
    into its layout, by kind.
    """

    name: str
    title: str
    reads: Callable[[str], bool]
    read: Callable[[str], Words]
    write: Callable[[Words], str]
    runtimes: tuple[Runtime, ...]
    meaning: Callable[[Words, Ints | None], Words] = lambda words, _: words
    exact: Callable[[Words], str] | None = None
    weights: Mapping[str, str] = field(factory=dict)


def slide(axis: Axis, low: int, high: int) -> Placement:
    """The whole windows of a padded axis: floor((L + low + high - e) / stride) + 1, if any."""
    room = axis.length + low + high - axis.span
    return Placement(room // axis.stride + 1 if room >= 0 else 0, low)


def truncated(axis: Axis, low: int, high: int) -> Placement:
    """As C divides, towards zero: one window where less than a stride lacks, or below zero."""
    room = axis.length + low + high - axis.span
    count = room // axis.stride if room >= 0 else -(-room // axis.stride)
    return Placement(count + 1, low)


def slide_up(axis: Axis, low: int, high: int) -> Placement:
    """The windows of a pool that rounds up; the last begins in the input or its low padding."""
    room = axis.length + low + high - axis.span
    count = -(-room // axis.stride) + 1
    starts_outside = (count - 1) * axis.stride >= axis.length + low
    return Placement(count - 1 if starts_outside else count, low)


def same(axis: Axis, *, more_low: bool) -> tuple[int, int]:
    """(low, high) with which ceil(L / stride) windows fit, for TensorFlow's split or the other."""
    return split(same_total(axis.length, axis.span, axis.stride), more_low=more_low)


def in_numbers(words: Words, place: Place) -> Words:
    """A transposed layer in our numbers, for any input: what `place` makes of each axis.

    What is left of the full result at its end is padding, what lacks there is output padding.
    """
    spread = words.spread(words.rank)
    axes = [spread.axis(index, 1) for index in range(words.rank)]
    placements = [place(axis) for axis in axes]
    rests = [axis.natural - (p.size or 0) - p.low for axis, p in zip(axes, placements, strict=True)]
    return evolve(
        words,
        padding=tuple((p.low, max(0, rest)) for p, rest in zip(placements, rests, strict=True)),
        output_padding=tuple(max(0, -rest) for rest in rests),
    )


def cut(axis: Axis, size: int, *, more_low: bool) -> Placement:
    """The part of `size` elements of a transposed layer's full result, cut on both sides."""
    low, _ = split(max(0, axis.natural - size), more_low=more_low)
    return Placement(size, low)
