"""Tensors under two numberings of their axes: Keras's, and channels first as it is here."""

from __future__ import annotations

from attrs import frozen
from convserve.errors import UnsupportedError
from convserve.layers import Permute
from convserve.layers.fields import Ints
from convserve.tensors import Shape

from convserve_server.planning.importers.draft import Draft


@frozen
class Value:
    """A tensor of the draft. `order[i]` is Keras's number, from 1, of axis i + 1 here.

    So `(3, 1, 2)` is Keras's (N, H, W, C) held as (N, C, H, W).
    """

    name: str
    sizes: Shape
    order: Ints

    @property
    def rank(self) -> int:
        """The number of axes after the batch."""
        return len(self.order)

    @property
    def shape(self) -> Shape:
        """The sizes in Keras's order."""
        return tuple(self.sizes[self.order.index(axis)] for axis in range(1, self.rank + 1))

    def axis(self, number: int, where: str) -> int:
        """Keras's axis, which may count from the end, as a number from 1. Never the batch."""
        axis = number if number >= 0 else number + self.rank + 1
        if not 1 <= axis <= self.rank:
            raise UnsupportedError(
                f"{where}: axis {number} is not one of the {self.rank} axes after the batch",
                field="axis",
            )
        return axis

    def place(self, axis: int) -> int:
        """Where an axis of Keras's lies here, numbered from 1."""
        return self.order.index(axis) + 1


def layout_order(rank: int, *, last: bool, lead: int = 0) -> Ints:
    """The order that holds channels first what Keras has in a layout.

    `lead` axes, those of TimeDistributed, stand before the layout's own and become spatial.
    """
    channels = rank if last or rank == 1 else 1 + lead
    return (channels, *(axis for axis in range(1, rank + 1) if axis != channels))


def keras_order(rank: int) -> Ints:
    """The order in which nothing moves."""
    return tuple(range(1, rank + 1))


def arrange(draft: Draft, value: Value, order: Ints) -> Value:
    """The same tensor held in another order: by a Permute where that moves anything."""
    if value.order == order:
        return value
    moves = tuple(value.place(axis) for axis in order)
    name = draft.add(f"{value.name}/permute", Permute(moves), value.name)
    return Value(name, draft.shape(name), order)


def reshaped_freely(value: Value, shape: Shape, order: Ints) -> bool:
    """Whether a reshape to Keras's `shape`, held in `order`, moves no element here.

    It does not where only axes of one element come or go, and the others keep their sequence.
    """
    before = [axis for axis in value.order if value.shape[axis - 1] > 1]
    after = [axis for axis in order if shape[axis - 1] > 1]
    same_sizes = [value.shape[axis - 1] for axis in sorted(before)] == [
        shape[axis - 1] for axis in sorted(after)
    ]
    return same_sizes and _ranks(before) == _ranks(after)


def _ranks(axes: list[int]) -> list[int]:
    ordered = sorted(axes)
    return [ordered.index(axis) for axis in axes]
