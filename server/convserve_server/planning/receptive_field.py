"""Which part of the network's input one output element sees, in exact fractions.

Per axis, output o of a layer sees `span` elements of a grid, from o * stride - low on; the grid is
the layer's input with `up` - 1 places between its elements. Convolutions and pools have up = 1;
transposed convolutions and upsampling have stride = 1. The recurrences are those of Araujo, Norris
and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

import msgspec
from convserve.plans import ReceptiveField

Number: TypeAlias = int | Fraction  # exact; a whole number is an int, which is ten times as fast


class Reach(msgspec.Struct, frozen=True):
    """How far one layer sees along one axis. stride = 0: every output sees the whole axis."""

    span: int = 1
    stride: int = 1
    low: int = 0
    up: int = 1


ONE = Reach()  # an element for each, in the same place


class AxisField(msgspec.Struct, frozen=True):
    """What output o sees along one axis: from start + o * jump on, `size` elements of the input.

    After upsampling by a layer whose elements are `lattice` input elements apart, beginning at
    `origin`, an output sees whole steps of that lattice only: `spread` is what was added since,
    `anchored` what was before, and `first` where output 0 really begins.

    `varies` says that inputs of other sizes may begin elsewhere, `aligned` that all branches that
    lead here have one jump and one centre.
    """

    start: Number = 0
    jump: Number = 1
    lattice: Number = 1
    origin: Number = 0
    anchored: Number = 0
    spread: Number = 0
    varies: bool = False
    aligned: bool = True

    @property
    def extent(self) -> Number:
        """From the first element to the last, which is size - 1."""
        steps = self.spread // self.lattice if self.lattice else 0
        return self.anchored + steps * self.lattice

    @property
    def first(self) -> Number:
        """The first element that output 0 sees: the next step of the lattice from `start` on."""
        if not self.lattice:
            return self.start
        return self.start + (self.origin - self.start) % self.lattice

    @property
    def size(self) -> int:
        """Input elements from the first to the last."""
        return int(self.extent) + 1

    def through(self, reach: Reach) -> AxisField:
        """The field after one more layer."""
        upsamples = reach.up > 1
        base = self._anchor() if upsamples else self
        fine = _divide(self.jump, reach.up) if upsamples else self.jump
        return AxisField(
            start=base.start - reach.low * fine,
            jump=fine * reach.stride,
            lattice=base.lattice,
            origin=base.origin,
            anchored=base.anchored,
            spread=base.spread + (reach.span - 1) * fine,
            varies=self.varies,
            aligned=self.aligned,
        )

    def _anchor(self) -> AxisField:
        """The same field, its elements being the new lattice if they lie on the old one."""
        if self.lattice and self.jump % self.lattice:
            return self
        return AxisField(
            start=self.first,
            jump=self.jump,
            lattice=self.jump,
            origin=self.first,
            anchored=self.extent,
            varies=self.varies,
            aligned=self.aligned,
        )


def _divide(number: Number, divisor: int) -> Number:
    ratio = Fraction(number) / divisor
    return ratio.numerator if ratio.denominator == 1 else ratio


AxisFields: TypeAlias = tuple[AxisField, ...]


def advance(field: AxisFields | None, reaches: Sequence[Reach]) -> AxisFields | None:
    """The field after a layer; no reaches mean a layer that looks at one element only."""
    if field is None or all(reach == ONE for reach in reaches):
        return field
    pairs = list(zip(field, reaches, strict=True))
    if pairs.count(pairs[0]) == len(pairs):  # mostly all axes are alike
        axis, reach = pairs[0]
        return (axis.through(reach),) * len(pairs)
    return tuple(axis.through(reach) for axis, reach in pairs)


def jumps_agree(fields: Sequence[AxisFields | None]) -> bool:
    """Whether branches that are joined have the same distance between neighbouring outputs."""
    known = [field for field in fields if field is not None]
    return len({tuple(axis.jump for axis in field) for field in known}) <= 1


def unite(fields: Sequence[AxisFields | None]) -> AxisFields | None:
    """The hull of joined branches: the first start and the last end. Takes the first's jump.

    None where no branch has a field, or they have different numbers of axes.
    """
    known = [field for field in fields if field is not None]
    if len(known) < 2:
        return known[0] if known else None
    if len({len(field) for field in known}) != 1:
        return None
    return tuple(_hull(axes) for axes in zip(*known, strict=True))


def _hull(axes: tuple[AxisField, ...]) -> AxisField:
    if len(set(axes)) == 1:
        return axes[0]
    start = min(axis.first for axis in axes)
    end = max(axis.first + axis.extent for axis in axes)
    return AxisField(
        start,
        axes[0].jump,
        spread=end - start,
        varies=any(axis.varies for axis in axes),
        aligned=all(axis.aligned for axis in axes) and len({_grid(axis) for axis in axes}) == 1,
    )


def _grid(axis: AxisField) -> tuple[Number, Number]:
    """Where the centres of an axis's outputs are: the distance between them, and twice the first's.

    The arithmetic of Araujo et al.: branches are aligned where centres fall together.
    """
    return axis.jump, 2 * axis.first + axis.extent


@lru_cache(maxsize=1024)  # most layers see what the one before them sees
def as_receptive_field(field: AxisFields | None) -> ReceptiveField | None:
    """The field as a plan shows it."""
    if field is None:
        return None
    size = tuple(axis.size for axis in field)
    jump = tuple(Fraction(axis.jump) for axis in field)
    start = tuple(Fraction(axis.first) for axis in field)
    varies = tuple(axis.varies for axis in field)
    return ReceptiveField(size, jump, start, varies, all(axis.aligned for axis in field))


def explain_reach(before: AxisField, reach: Reach, after: AxisField) -> tuple[str, ...]:
    """The recurrences of one axis, and the same with the numbers."""
    if reach.up == 1:
        name, fine = "jump", str(before.jump)
    else:
        name, fine = "(jump / up)", f"({before.jump} / {reach.up})"
    exact = before.size + (reach.span - 1) * _divide(before.jump, reach.up)
    rounding = "" if exact == after.size else f" = {exact}, in whole steps"
    start = after.start + reach.low * _divide(before.jump, reach.up)
    shift = "" if after.first == after.start else f", the next whole step {after.first}"
    lines = (
        (
            f"receptive field = size + (e - 1) * {name} = "
            f"{before.size} + ({reach.span} - 1) * {fine}{rounding} = {after.size}"
        ),
        (
            f"jump = {name} * stride = {fine} * {reach.stride} = {after.jump}; "
            f"start = start - low * {name} = {start} - {reach.low} * {fine} = {after.start}{shift}"
        ),
    )
    return (*lines, *_explain_variation(before, reach, after))


def _explain_variation(before: AxisField, reach: Reach, after: AxisField) -> tuple[str, ...]:
    if not after.varies:
        return ()
    if before.varies:
        return ("start holds for this input size, as that of the layers before",)
    return (
        (
            f"start holds for this input size: low is {reach.low} of what `same` pads, which "
            f"depends on the size modulo the stride {reach.stride}"
        ),
    )
