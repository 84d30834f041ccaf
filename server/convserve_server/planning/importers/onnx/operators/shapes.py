"""The same elements in another shape or order; the batch stays where it is."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from convserve.errors import InvalidArgumentError, ShapeError
from convserve.layers import Flatten, Permute, PixelShuffle, PixelUnshuffle, Reshape
from convserve.tensors import Shape

from convserve_server.planning.importers.onnx.building import OpenShape, Value
from convserve_server.planning.importers.onnx.call import Call, check_open
from convserve_server.planning.importers.onnx.constants import BATCH


def reshape(call: Call) -> None:
    """The first size must be the batch: its own, 0, -1, or the one that the file is made for."""
    x = call.value(0)
    wanted = call.integers_at(1, "shape")
    if not wanted:
        call.refuse("its shape has no axes, and the batch must stay")
    keeps_zero = call.flag("allowzero")
    first, *rest = wanted
    sizes = [_copied(call, size, n, x, keeps_zero) for n, size in enumerate(rest)]
    if first not in (BATCH, 0, -1) and first != call.building.batch:
        call.refuse(
            f"it makes {wanted}, whose first axis is {first}: the batch must stay the first axis"
        )
    if first == -1 and -1 in sizes:
        raise InvalidArgumentError(f"its shape {wanted} has -1 twice")
    if first == -1 and x.is_known and math.prod(sizes) != math.prod(x.sizes):
        call.refuse(
            f"it makes {wanted} of samples of {x.sizes}: elements of samples would become samples"
        )
    call.put(_reshaped(call, x, sizes))


def _copied(call: Call, size: int, position: int, x: Value, keeps_zero: bool) -> int:
    """A size of the new shape, after the batch; 0 stands for the input's own."""
    check_open([size], "shape")
    if size or keeps_zero:
        return size
    if position >= len(x.shape):
        raise InvalidArgumentError(
            f"its shape has 0 for axis {position + 1}, which its input lacks"
        )
    own = x.shape[position]
    if own is None:
        call.refuse("its shape copies a size that the file leaves open; give the inputs' shapes")
    return own


def _reshaped(call: Call, x: Value, sizes: Sequence[int]) -> Value:
    """`x` with samples of these sizes, of which one may be -1: itself, or a layer's result."""
    if not sizes:
        call.refuse("nothing but the batch would be left")
    if x.is_known:
        sizes = _filled(x.sizes, sizes)
        if sizes == x.sizes:
            return x
    elif list(sizes).count(-1) > 1:
        return _reshaped(call, x, x.sizes)  # which tells that they are not known
    if len(sizes) == 1 and x.rank > 2:
        return call.add(Flatten(), x, shape=_open(sizes))
    return call.add(Reshape(tuple(sizes)), x, shape=_open(sizes))


def _open(sizes: Sequence[int]) -> OpenShape:
    return tuple(None if size == -1 else size for size in sizes)


def _filled(old: Shape, new: Sequence[int]) -> Shape:
    """The new sizes, with -1 replaced. Raises ShapeError unless they have as many elements."""
    count, given = math.prod(old), math.prod(size for size in new if size != -1)
    if -1 in new and given > 0 and count % given == 0:
        new = [count // given if size == -1 else size for size in new]
    if min(new) < 0 or math.prod(new) != count:
        raise ShapeError(
            f"samples of {old} do not become {tuple(new)}: {count} elements are not {given}",
            metadata={"value": count, "want": given},
        )
    return tuple(new)


def flatten(call: Call) -> None:
    """Two axes, of which the first must be the batch."""
    x = call.value(0)
    axis = call.integer("axis", 1)
    if axis % x.rank != 1:
        call.refuse(f"its axis is {axis}: the batch would be joined with others; only 1 is done")
    if x.rank == 2:
        call.put(x)
    else:
        shape = (math.prod(x.sizes),) if x.is_known else (None,)
        call.put(call.add(Flatten(), x, shape=shape))


def transpose(call: Call) -> None:
    """Any order that leaves the batch first."""
    x = call.value(0)
    order = call.integers("perm") or tuple(reversed(range(x.rank)))
    if sorted(order) != list(range(x.rank)):
        raise InvalidArgumentError(f"its perm {order} is no order of {x.rank} axes")
    if order[0] != 0:
        call.refuse(f"its perm {order} moves the batch, which must stay the first axis")
    if order == tuple(range(x.rank)):
        call.put(x)
    else:
        shape = tuple(x.shape[axis - 1] for axis in order[1:])
        call.put(call.add(Permute(order[1:]), x, shape=shape))


def squeeze(call: Call) -> None:
    """Axes of size 1 go."""
    x = call.value(0)
    axes = call.axes(1)
    if axes is None:
        if call.building.batch == 1:
            call.refuse("it names no axes, so that a batch of 1 would go; name them")
        axes = tuple(n for n, size in enumerate(x.sizes, 1) if size == 1)
    gone = {call.axis(axis, x.rank) for axis in axes}
    wrong = [n for n in gone if x.shape[n - 1] not in (1, None)]
    if wrong:
        raise ShapeError(f"its axis {wrong[0]} has {x.shape[wrong[0] - 1]} elements, not 1")
    call.put(without_axes(call, x, gone))


def without_axes(call: Call, x: Value, gone: Collection[int]) -> Value:
    """`x` without some axes, each of one element."""
    kept = [size for n, size in enumerate(x.shape, 1) if n not in gone]
    return _reshaped(call, x, [-1 if size is None else size for size in kept])


def unsqueeze(call: Call) -> None:
    """New axes of size 1."""
    x = call.value(0)
    axes = call.axes(1) or ()
    rank = x.rank + len(axes)
    new = {call.axis(axis, rank) for axis in axes}
    if len(new) < len(axes):
        raise InvalidArgumentError(f"its axes {axes} name one twice")
    old = iter(x.shape)
    sizes = [1 if axis in new else next(old) for axis in range(1, rank)]
    call.put(_reshaped(call, x, [-1 if size is None else size for size in sizes]))


def depth_to_space(call: Call) -> None:
    """CRD is our pixel shuffle; DCR has the block's place before the channel."""
    x, block = call.value(0), call.integer("blocksize", 0)
    if call.text("mode", "DCR") == "CRD":
        call.put(call.add(PixelShuffle(block), x))
        return
    taps = block ** (x.rank - 2)
    turned = _swap(call, x, taps, x.sizes[0] // max(taps, 1))
    call.put(call.add(PixelShuffle(block), turned))


def space_to_depth(call: Call) -> None:
    """CRD is our pixel unshuffle; DCR has the block's place before the channel."""
    x, block = call.value(0), call.integer("blocksize", 0)
    is_ours = call.text("mode", "DCR") == "CRD"
    result = call.add(PixelUnshuffle(block), x, part="" if is_ours else "blocks")
    if not is_ours:
        result = _swap(call, result, x.sizes[0], result.sizes[0] // max(x.sizes[0], 1))
    call.put(result)


def _swap(call: Call, x: Value, first: int, second: int) -> Value:
    """Channels (first, second) in the order (second, first)."""
    sizes = x.sizes
    split = call.add(Reshape((first, second, *sizes[1:])), x, part="split")
    order = (2, 1, *range(3, len(sizes) + 2))
    turned = call.add(Permute(order), split, part="turned")
    return call.add(Reshape(sizes), turned, part="joined")


def identity(call: Call) -> None:
    """Nothing changes."""
    call.put(call.input(0) or call.value(0))


def dropout(call: Call) -> None:
    """In inference nothing changes."""
    call.ignore("ratio", "seed", "is_test")
    mode = call.input(2)
    if isinstance(mode, Value) or (mode is not None and bool(call.array(2, "training_mode").any())):
        call.refuse("it is in training mode; export the model in evaluation mode")
    call.only(1)
    identity(call)


def cast(call: Call) -> None:
    """To the same element type only."""
    x, wanted = call.value(0), call.element("to")
    call.ignore("saturate", "round_mode")
    if x.dtype != wanted:
        call.refuse(f"it makes {wanted} of {x.dtype}, and layers keep the element type")
    call.put(x)


OPERATORS = {
    "Reshape": reshape,
    "Flatten": flatten,
    "Transpose": transpose,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "Identity": identity,
    "Dropout": dropout,
    "Cast": cast,
}
