"""Tensors and windows as the kernels of `spatial.cuh` read them: always with three spatial axes."""

from __future__ import annotations

from attrs import frozen
from convserve.layers.fields import Ints, Padding, Pairs

from convserve_server.engines.cuda.views import View

RANK = 3


@frozen
class Windows:
    """Where windows fall, by one number or (low, high) pair per spatial axis."""

    stride: Ints
    padding: Pairs
    dilation: Ints

    @property
    def arguments(self) -> tuple[int, ...]:
        """As the struct `Windows` of the kernels."""
        missing = RANK - len(self.stride)
        lows = [low for low, _ in self.padding]
        ones, zeros = (1,) * missing, (0,) * missing
        return (*ones, *self.stride, *zeros, *lows, *ones, *self.dilation)


def lifted(view: View) -> View:
    """(N, C, *L) with spatial axes of size 1 before its own, so that there are three."""
    while len(view.shape) < 2 + RANK:
        view = view.inserted(2)
    return view


def pairs(padding: Padding) -> Pairs:
    """The padding of a resolved layer, which has no mode any more."""
    assert not isinstance(padding, str)
    return padding
