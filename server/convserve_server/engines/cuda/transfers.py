"""Copies between arrays of the host and views of device memory, as few as there can be.

A lane copies rows of bytes at two pitches (`Lane.upload`). An array that would take too many such
copies, or rows too short for the bus, is gathered on the host first; a result is scattered there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from typing import TypeAlias

import numpy as np
from attrs import field, frozen
from convserve.tensors import Array, Shape

from convserve_server.engines.base import Index
from convserve_server.engines.cuda.device import Lane
from convserve_server.engines.cuda.views import View
from convserve_server.planning.inputs import CHANNELS_FIRST, CHANNELS_LAST

MAX_COPIES = 256  # each takes some microseconds to give; with more of them, gathering is faster
MIN_ROW_BYTES = 64  # what crosses the bus at once
MAX_PITCH = 2**31 - 1  # of CUDA's copies of rows
MAX_KNOWN = 512  # arrays and views whose copies are remembered

# So many times: strides in bytes on the device, and on the host.
_Axis: TypeAlias = tuple[int, int, int]


@frozen
class Copy:
    """`rows` rows of `width` bytes. `device` is counted from the start of the view's buffer, and
    `host` from the array's first element.
    """

    device: int
    device_pitch: int
    host: int
    host_pitch: int
    width: int
    rows: int


@frozen(eq=False)
class Fetch:
    """A result on its way: to its place, or with the `whole` that it is a part of."""

    place: Array
    whole: Array | None = None
    index: Index = field(default=())

    def finish(self) -> Array:
        """The place, filled. Only once the copies were made."""
        if self.whole is not None:
            self.place[...] = self.whole[self.index]
        return self.place


def layout_of(array: Array) -> str:
    """How an array (N, C, *L) lies: with the channels last, if that can be said of it."""
    return _layout(array.shape, array.strides)


@lru_cache(MAX_KNOWN)
def _layout(shape: Shape, strides: Shape) -> str:
    if len(shape) < 3:
        return CHANNELS_FIRST
    steps = [step for step, size in zip(strides[2:], shape[2:], strict=True) if size > 1]
    is_last = shape[1] == 1 or all(strides[1] < step for step in steps)
    return CHANNELS_LAST if is_last else CHANNELS_FIRST


def send(lane: Lane, array: Array, view: View, address: int) -> Array:
    """Copy an array to a view without gaps, in the buffer at `address`.

    Returns the array that must stay until the lane has made the copies.
    """
    copies = find_copies(array, view)
    if copies is None:
        source, array = array, _like(view, array)
        array[...] = source
        copies = _all(view, array)
    start = array.ctypes.data
    for c in copies:
        lane.upload(
            address + c.device, c.device_pitch, start + c.host, c.host_pitch, c.width, c.rows
        )
    return array


def fetch(lane: Lane, view: View, address: int, place: Array, index: Index = ()) -> Fetch:
    """Copy what `index` takes of a view without gaps, in the buffer at `address`, to an array."""
    whole: Array | None = None
    target, copies = place, find_copies(place, _taken(view, index))
    if copies is None:
        target = whole = _like(view, place)
        copies = _all(view, whole)
    start = target.ctypes.data
    for c in copies:
        lane.download(
            start + c.host, c.host_pitch, address + c.device, c.device_pitch, c.width, c.rows
        )
    return Fetch(place, whole, index)


def find_copies(array: Array, view: View) -> tuple[Copy, ...] | None:
    """The fewest copies of rows that are all of a view; None where gathering is better."""
    return _copies(array.strides, array.itemsize, view)


@lru_cache(MAX_KNOWN)
def _copies(strides: Shape, width: int, view: View) -> tuple[Copy, ...] | None:
    """The copies of an array with these strides in bytes, whose elements are so wide."""
    if 0 in view.shape:
        return ()
    first = view.offset * width
    axes = _merged(strides, width, view)
    if any(stride <= 0 for axis in axes for stride in axis[1:]):
        return None
    if axes and axes[-1][1:] == (width, width):
        width *= axes.pop()[0]
    if axes and width < MIN_ROW_BYTES:
        return None
    rows, device_pitch, host_pitch = _rows(axes, width)
    if math.prod(size for size, _, _ in axes) > MAX_COPIES:
        return None
    return tuple(
        Copy(first + device, device_pitch, host, host_pitch, width, rows)
        for device, host in _starts(axes)
    )


def _all(view: View, array: Array) -> tuple[Copy, ...]:
    """The one copy that is all of a view without gaps, and of an array like it."""
    size = array.nbytes
    return (Copy(view.offset * array.itemsize, size, 0, size, size, 1),) if size else ()


def _merged(strides: Shape, width: int, view: View) -> list[_Axis]:
    """The axes in their order on the device; those that follow each other in both are one."""
    order = [axis for axis, size in enumerate(view.shape) if size != 1]
    order.sort(key=lambda axis: -view.strides[axis])
    axes: list[_Axis] = []
    for axis in order:
        size, device, host = view.shape[axis], view.strides[axis] * width, strides[axis]
        if axes and axes[-1][1:] == (device * size, host * size):
            size *= axes.pop()[0]
        axes.append((size, device, host))
    return axes


def _rows(axes: list[_Axis], width: int) -> _Axis:
    """Take the longest axis away that may be the rows of a copy."""
    fitting = [axis for axis in axes if all(width <= pitch <= MAX_PITCH for pitch in axis[1:])]
    if not fitting:
        return (1, width, width)
    rows = max(fitting)
    axes.remove(rows)
    return rows


def _starts(axes: Sequence[_Axis]) -> Iterator[tuple[int, int]]:
    """Where each copy begins on the device, and on the host."""
    for index in product(*(range(size) for size, _, _ in axes)):
        device = sum(i * axis[1] for i, axis in zip(index, axes, strict=True))
        host = sum(i * axis[2] for i, axis in zip(index, axes, strict=True))
        yield device, host


def _like(view: View, array: Array) -> Array:
    """A new array of the view's shape and order, and of the array's dtype."""
    order = sorted(range(len(view.shape)), key=lambda axis: -view.strides[axis])
    made = np.empty([view.shape[axis] for axis in order], array.dtype)
    return made.transpose(np.argsort(order))


def _taken(view: View, index: Index) -> View:
    for axis, part in enumerate(index):
        start, stop, step = part.indices(view.shape[axis])
        view = view.sliced(axis, start, len(range(start, stop, step)), step)
    return view
