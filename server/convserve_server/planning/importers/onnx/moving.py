"""Constants whose elements are moved, not computed with: what is large is only described."""

from __future__ import annotations

import math

import numpy as np
from convserve.errors import InvalidArgumentError, TooLargeError, UnsupportedError
from convserve.tensors import Array

from convserve_server.planning.importers.onnx.call import Call
from convserve_server.planning.importers.onnx.constants import BATCH, MAX_FOLDED, OPEN, Constant

INPUTS_FROM = 10  # the version from which Slice has its numbers as inputs


def same(call: Call) -> Constant:
    """Nothing changes."""
    call.ignore("ratio", "seed")
    return call.constant(0, "input")


def transpose(call: Call) -> Constant:
    """Axes in another order, without moving anything."""
    found = call.constant(0, "data")
    order = call.integers("perm") or tuple(reversed(range(len(found.shape))))
    if sorted(order) != list(range(len(found.shape))):
        raise InvalidArgumentError(f"its perm {order} is no order of {len(found.shape)} axes")
    return found.transposed(order)


def reshape(call: Call) -> Constant:
    """Another shape, without moving anything."""
    found, wanted = call.constant(0, "data"), list(call.integers_at(1, "shape") or ())
    if not call.flag("allowzero"):
        old = (*found.shape, *(0 for _ in wanted))
        wanted = [old[n] if size == 0 else size for n, size in enumerate(wanted)]
    given = math.prod(size for size in wanted if size != -1)
    if wanted.count(-1) == 1 and given > 0 and found.element_count % given == 0:
        wanted = [found.element_count // given if size == -1 else size for size in wanted]
    if min(wanted, default=0) < 0 or math.prod(wanted) != found.element_count:
        raise InvalidArgumentError(f"its data {found.shape} do not become {tuple(wanted)}")
    return found.reshaped(tuple(wanted))


def squeeze(call: Call) -> Constant:
    """Axes of size 1 go."""
    found, axes = call.constant(0, "data"), call.axes(1)
    rank = len(found.shape)
    ones = [n for n, size in enumerate(found.shape) if size == 1]
    gone = set(ones) if axes is None else {axis_of(axis, rank) for axis in axes}
    if not gone <= set(ones):
        raise InvalidArgumentError(f"its axes {axes} are not all of size 1 in {found.shape}")
    return found.reshaped(tuple(s for n, s in enumerate(found.shape) if n not in gone))


def unsqueeze(call: Call) -> Constant:
    """New axes of size 1."""
    found, axes = call.constant(0, "data"), call.axes(1) or ()
    rank = len(found.shape) + len(axes)
    new = {axis_of(axis, rank) for axis in axes}
    if len(new) < len(axes):
        raise InvalidArgumentError(f"its axes {axes} name one twice")
    old = iter(found.shape)
    return found.reshaped(tuple(1 if n in new else next(old) for n in range(rank)))


def gather(call: Call) -> Constant:
    """Elements along an axis."""
    data, places = call.array(0, "data"), call.array(1, "indices")
    axis = axis_of(call.integer("axis", 0), data.ndim)
    length = data.shape[axis]
    if places.dtype.kind != "i" or (
        places.size and not -length <= places.min() <= places.max() < length
    ):
        raise InvalidArgumentError(f"its indices are not all from {-length} to {length - 1}")
    check_count(data.size // max(length, 1) * places.size)
    return call.building.compute(np.asarray(np.take(data, places, axis)))


def concat(call: Call) -> Constant:
    """Constants side by side."""
    arrays = arrays_of(call)
    check_count(sum(array.size for array in arrays))
    axis = axis_of(call.integer("axis", 0), arrays[0].ndim)
    return call.building.compute(np.concatenate(arrays, axis))


def slice_(call: Call) -> Constant:
    """A part, along some axes."""
    data = call.array(0, "data")
    parts = [slice(None)] * data.ndim
    for axis, start, end, step in cuts(call, data.ndim):
        backwards = step < 0 and end < -data.shape[axis]
        parts[axis] = slice(start, None if backwards else end, step)
    return call.building.compute(np.ascontiguousarray(data[tuple(parts)]))


def cuts(call: Call, rank: int) -> list[tuple[int, int, int, int]]:
    """What a Slice cuts: axis, start, end and step of each."""
    if call.opset < INPUTS_FROM:
        starts, ends = call.integers("starts") or (), call.integers("ends") or ()
        axes, steps = call.integers("axes"), None
    else:
        starts = call.integers_at(1, "starts") or ()
        ends = call.integers_at(2, "ends") or ()
        axes, steps = call.integers_at(3, "axes"), call.integers_at(4, "steps")
    places = [axis_of(axis, rank) for axis in axes or range(len(starts))]
    steps = steps or (1,) * len(starts)
    counts = {len(numbers) for numbers in (starts, ends, places, steps)}
    if len(counts) > 1 or len(set(places)) < len(places):
        raise InvalidArgumentError("its starts, ends, axes and steps are not one for each axis")
    return list(zip(places, starts, ends, steps, strict=True))


def expand(call: Call) -> Constant:
    """The same values, repeated."""
    data, wanted = call.array(0, "input"), call.integers_at(1, "shape") or ()
    common = np.broadcast_shapes(data.shape, wanted)
    check_count(math.prod(common))
    return call.building.compute(np.ascontiguousarray(np.broadcast_to(data, common)))


def equal(call: Call) -> Constant:
    """Which elements are equal. An unknown size is told from what is no size, and from no other."""
    first, second = call.array(0, "A"), call.array(1, "B")
    for one, other in ((first, second), (second, first)):
        if np.any(other >= 0):
            check_marks(one)
    check_count(math.prod(np.broadcast_shapes(first.shape, second.shape)))
    return call.building.compute(np.asarray(first == second))


def where(call: Call) -> Constant:
    """Elements of one or the other."""
    arrays = [call.array(n, "input") for n in range(3)]
    check_count(math.prod(np.broadcast_shapes(*(array.shape for array in arrays))))
    return call.building.compute(np.where(*arrays))


def arrays_of(call: Call, count: int | None = None) -> list[Array]:
    """All inputs: `count` of them, or any number but none. Raises InvalidArgumentError."""
    if not call.input_count or count not in (None, call.input_count):
        raise InvalidArgumentError(
            f"it has {call.input_count} inputs, and must have {count or 'at least 1'}"
        )
    return [call.array(position, "input") for position in range(call.input_count)]


def axis_of(axis: int, rank: int) -> int:
    """An axis from 0. Raises InvalidArgumentError for none of `rank`."""
    if not -rank <= axis < rank:
        raise InvalidArgumentError(f"its axis {axis} is not one of {rank}")
    return axis % rank


def check_count(count: int) -> None:
    """Raise TooLargeError for more elements than are computed with."""
    if count > MAX_FOLDED:
        raise TooLargeError(
            f"a constant of {count} elements would have to be computed, and the limit is "
            f"{MAX_FOLDED}",
            metadata={"value": count, "limit": MAX_FOLDED},
        )


def check_marks(*arrays: Array) -> None:
    """Raise UnsupportedError for a batch or an open size that would be computed with."""
    if any(array.dtype.kind in "if" and np.isin(array, (BATCH, OPEN)).any() for array in arrays):
        raise UnsupportedError(
            "it computes with the batch, or with a size that the file leaves open; give the shapes "
            "of the inputs when you import the model, or export it with fixed ones"
        )
