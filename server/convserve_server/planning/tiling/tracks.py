"""How the tensors of a program move when it runs on a part of its input along one axis.

A tile is the same network, with the same layers, on a shorter input. Shift the input by one
period, and every tensor shifts by a whole number of its own elements: by the product of the strides
over that of the upsamplings. So tensors whose whole lengths fit each other still fit when each is
some periods shorter, whatever rounding is in their formulas (`floor`, `ceil_mode`, `same`).

Where a tile ends and the whole goes on, a layer pads what it should have read. The elements that
saw such padding are wrong: those are the margins, which grow from layer to layer by what each one
sees beyond its place. At the true ends of the axis a tile ends as the whole does, so padding,
borders and the divisors of average pools are right there.

Not along an axis: global pools (they see all of it), Flatten and Dense (they have no such axis),
circular borders (one end sees the other), and what `Rule.can_cut` refuses, where what an element
sees is not the same distance from its own place everywhere, or its value tells that place.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

from attrs import evolve, frozen
from convserve.layers import Conv, DepthwiseConv, Layer, Pad, SeparableConv, SubPixelConv

from convserve_server.planning.layers import rule_of
from convserve_server.planning.program import Program, Step
from convserve_server.planning.receptive_field import Reach


@frozen
class Track:
    """One tensor along the axis: its whole length, and by how much it shifts with each period.

    In a tile, `low` elements are wrong at the start and `high` at the end, unless that is an end
    of the whole. No tile may have fewer than `least` elements.
    """

    length: int
    period: int
    low: int = 0
    high: int = 0
    least: int = 1

    @property
    def sound_periods(self) -> int:
        """Whole periods of the tensor between margins."""
        return (self.length - self.low - self.high) // self.period

    @property
    def spare_periods(self) -> int:
        """By how many periods a tile can be shorter than the whole."""
        return (self.length - self.least) // self.period


def find_tracks(program: Program, axis: int) -> dict[str, Track] | None:
    """The tracks of all inputs and results by name; None if `axis` cannot be cut."""
    ranks = {len(spec.shape) for step in program.steps for spec in (*step.inputs, step.output)}
    if len(ranks) != 1:
        return None
    reaches = [_find_reach(step, axis) for step in program.steps]
    bounded = [reach for reach in reaches if reach is not None]
    if len(bounded) < len(reaches):
        return None
    periods = _find_periods(program, bounded)
    if periods is None:
        return None
    tracks = {spec.name: Track(spec.shape[axis], periods[spec.name]) for spec in program.inputs}
    for step, reach in zip(program.steps, bounded, strict=True):
        name, length = step.output.name, step.output.shape[axis]
        for spec in step.inputs:
            source = tracks[spec.name]
            least = max(source.least, _find_least(step.layer, axis, source))
            tracks[spec.name] = evolve(source, least=least)
        low, high = _margins([tracks[spec.name] for spec in step.inputs], reach, length)
        tracks[name] = Track(length, periods[name], low, high)
    return tracks


def find_obstacle(program: Program, axis: int) -> str:
    """Why a program cannot be cut along `axis`; empty if no single step is in the way."""
    for step in program.steps:
        if len(step.output.shape) != len(program.inputs[0].shape):
            return f"{step.output.name} has no such axis"
        if _find_reach(step, axis) is None:
            return f"{step.output.name} sees all of it, or its values depend on their place there"
    return ""


def _find_reach(step: Step, axis: int) -> Reach | None:
    """How far the step sees along `axis`; None if it cannot be cut there."""
    rule, shapes = rule_of(step.layer), tuple(spec.shape[1:] for spec in step.inputs)
    if not rule.can_cut(step.layer, shapes, axis):
        return None
    reaches = rule.reach(step.layer, shapes)
    reach = reaches[axis - 2] if reaches else Reach()
    sees_all = reach.stride == 0 or (
        _border(step.layer) == "circular" and any(_padding(step.layer, axis))
    )
    return None if sees_all else reach


def find_padding(program: Program, axis: int) -> dict[str, tuple[int, int]]:
    """How far what the outputs see of each input goes beyond its ends along `axis`.

    For programs that have tracks there.
    """
    seen: dict[str, tuple[int, int]] = {}
    for step in reversed(program.steps):
        if step.output.name in program.outputs:
            _widen(seen, step.output.name, (0, step.output.shape[axis] - 1))
        reach = _find_reach(step, axis)
        if reach is None or step.output.name not in seen:
            continue
        first, last = seen[step.output.name]
        source = (
            -((reach.low - first * reach.stride) // reach.up),
            (last * reach.stride - reach.low + reach.span - 1) // reach.up,
        )
        for spec in step.inputs:
            _widen(seen, spec.name, source)
    return {
        spec.name: _beyond(seen.get(spec.name, (0, 0)), spec.shape[axis]) for spec in program.inputs
    }


def _widen(seen: dict[str, tuple[int, int]], name: str, bounds: tuple[int, int]) -> None:
    first, last = seen.get(name, bounds)
    seen[name] = (min(first, bounds[0]), max(last, bounds[1]))


def _beyond(bounds: tuple[int, int], length: int) -> tuple[int, int]:
    first, last = bounds
    return max(0, -first), max(0, last - (length - 1))


def _find_periods(program: Program, reaches: Sequence[Reach]) -> dict[str, int] | None:
    """By how many elements each tensor shifts at least, if all shift by whole elements.

    None where two tensors that are joined shift differently, or the inputs are never joined.
    """
    periods = {program.inputs[0].name: Fraction(1)}
    known = 0
    while known < len(periods):  # another round for each input that is joined with those before
        known = len(periods)
        for step, reach in zip(program.steps, reaches, strict=True):
            ratio = Fraction(reach.up, reach.stride)
            names = [spec.name for spec in step.inputs]
            found = {periods[name] for name in names if name in periods}
            if step.output.name in periods:
                found.add(periods[step.output.name] / ratio)
            if len(found) > 1:
                return None
            for period in found:
                periods |= dict.fromkeys(names, period)
                periods[step.output.name] = period * ratio
    if known < len(program.inputs) + len(program.steps):
        return None
    scale = lcm(*(period.denominator for period in periods.values()))
    return {name: int(period * scale) for name, period in periods.items()}


def _margins(sources: Sequence[Track], reach: Reach, length: int) -> tuple[int, int]:
    """The margins of a result of `length`, from those of what it is made of.

    Result o sees `span` places from o * stride - low on, of a grid with an element of the source at
    every `up`-th place. It is right if the last wrong element before it, and the first one behind,
    lie outside.
    """
    low = max(-(-((s.low - 1) * reach.up + 1 + reach.low) // reach.stride) for s in sources)
    last = min(
        ((s.length - s.high) * reach.up + reach.low - reach.span) // reach.stride for s in sources
    )
    return max(0, low), max(0, length - 1 - last)


def _find_least(layer: Layer, axis: int, source: Track) -> int:
    """The shortest tile of `source` in which the layer pads rightly at a true end of the axis.

    What is repeated or mirrored there must not come from the margin at the tile's other end.
    """
    border = _border(layer)
    if border == "zeros":
        return 1
    low, high = _padding(layer, axis) if border == "reflect" else (0, 0)
    return 1 + max(low + source.high, high + source.low)


def _border(layer: Layer) -> str:
    """What a layer pads with."""
    match layer:
        case Conv() | DepthwiseConv() | SeparableConv() | SubPixelConv():
            return layer.padding_mode
        case Pad():
            return layer.mode
    return "zeros"


def _padding(layer: Layer, axis: int) -> tuple[int, int]:
    """The padding of a resolved layer that has a border, at the ends of `axis`."""
    assert isinstance(layer, Conv | DepthwiseConv | SeparableConv | SubPixelConv | Pad)
    assert not isinstance(layer.padding, str)
    return layer.padding[axis - 2]
