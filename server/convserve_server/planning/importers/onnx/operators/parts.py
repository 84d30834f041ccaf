"""Parts of tensors, tensors side by side, borders, and reductions."""

from __future__ import annotations

from collections.abc import Callable

from convserve.errors import InvalidArgumentError, ShapeError
from convserve.layers import (
    Concat,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    Layer,
    Pad,
    ReduceMax,
    ReduceMean,
    ReduceSum,
    Slice,
)
from convserve.layers.fields import MAX_SIZE
from convserve.tensors import Shape

from convserve_server.planning.importers.onnx.building import OpenShape, Value
from convserve_server.planning.importers.onnx.call import Call, check_open
from convserve_server.planning.importers.onnx.constants import BATCH
from convserve_server.planning.importers.onnx.moving import cuts
from convserve_server.planning.importers.onnx.operators.shapes import without_axes

PAD_INPUTS_FROM = 11
_BORDERS = {"constant": "zeros", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def _without(x: Value, axis: int) -> OpenShape:
    """The input's shape, with one size unknown."""
    return tuple(None if n == axis else size for n, size in enumerate(x.shape, 1))


def concat(call: Call) -> None:
    """Tensors side by side."""
    values = [call.value(position) for position in range(call.input_count)]
    axis = call.axis(call.integer("axis", 1), values[0].rank)
    if len(values) == 1:
        call.put(values[0])
        return
    call.put(call.add(Concat(axis), *values, shape=_joined(values, axis)))


def _joined(values: list[Value], axis: int) -> OpenShape:
    first = values[0]
    sizes = [value.shape[axis - 1] if value.rank == first.rank else None for value in values]
    total = None if None in sizes else sum(size for size in sizes if size is not None)
    return tuple(total if n == axis else size for n, size in enumerate(first.shape, 1))


def slice_(call: Call) -> None:
    """One layer per axis that is cut."""
    result = call.value(0)
    for axis, start, end, step in cuts(call, result.rank):
        result = _cut(call, result, axis, start, end, step)
    call.put(result)


def _cut(call: Call, x: Value, axis: int, start: int, end: int, step: int) -> Value:
    if axis == 0 and start == 0 and step == 1 and (end > MAX_SIZE or end == BATCH):
        return x  # all of the batch
    check_open([start, end], "part")
    if step < 1:
        call.refuse(f"its step is {step}; only steps forward are done")
    at = call.axis(axis, x.rank)
    stop = None if end > MAX_SIZE else max(end, -MAX_SIZE)
    size = x.shape[at - 1]
    if start == 0 and step == 1 and (stop is None or (size is not None and stop >= size)):
        return x
    layer = Slice(at, max(start, -MAX_SIZE), stop, step)
    return call.add(
        layer, x, part="" if len(call.node.outputs) == 1 else "part", shape=_without(x, at)
    )


def gather(call: Call) -> None:
    """One index of one axis: a slice of it; the axis goes if the index is no list."""
    x, places = call.value(0), call.array(1, "indices")
    axis = call.axis(call.integer("axis", 0), x.rank)
    if places.size != 1 or places.ndim > 1 or places.dtype.kind != "i":
        call.refuse(
            f"its indices are {places.dtype} {places.shape}; only one constant index is done"
        )
    index, size = int(places.reshape(-1)[0]), x.shape[axis - 1]
    if size is not None and not -size <= index < size:
        raise InvalidArgumentError(f"its index {index} is not one of {size} along axis {axis}")
    layer = Slice(axis, index, index + 1 or None)
    shape = tuple(1 if n == axis else old for n, old in enumerate(x.shape, 1))
    part = call.add(layer, x, part="" if places.ndim else "part", shape=shape)
    call.put(part if places.ndim else without_axes(call, part, {axis}))


def split(call: Call) -> None:
    """A slice for each part that somebody reads."""
    x = call.value(0)
    axis = call.axis(call.integer("axis", 0), x.rank)
    count = len(call.node.outputs)
    sizes = call.integers("split") or call.integers_at(1, "split")
    if call.integer("num_outputs", count) != count:
        raise InvalidArgumentError(f"its num_outputs is not the number of its outputs, {count}")
    sizes = check_open(sizes or _equal_parts(call, x, axis, count), "split")
    if len(sizes) != count or min(sizes) < 0:
        raise InvalidArgumentError(f"its split {sizes} is not one size for each of {count} outputs")
    _check_total(x, axis, sizes)
    start = 0
    for output, size in enumerate(sizes):
        if call.wants(output):
            layer = Slice(axis, start, start + size)
            shape = tuple(size if n == axis else old for n, old in enumerate(x.shape, 1))
            call.put(call.add(layer, x, part=f"part{output}", shape=shape), output)
        start += size


def _equal_parts(call: Call, x: Value, axis: int, count: int) -> Shape:
    """Parts of one size; the last one may be smaller, from opset 18 on."""
    total = x.shape[axis - 1]
    if total is None:
        call.refuse("it splits an axis that the file leaves open; give the inputs' shapes")
    size = -(-total // count)
    return (*(size for _ in range(count - 1)), total - size * (count - 1))


def _check_total(x: Value, axis: int, sizes: Shape) -> None:
    total = x.shape[axis - 1]
    if total is not None and sum(sizes) != total:
        raise ShapeError(f"its split {sizes} has {sum(sizes)} elements, but the axis {total}")


def pad(call: Call) -> None:
    """Borders of the spatial axes; negative ones cut, as a slice."""
    x = call.value(0)
    border, value = _border(call)
    axes = call.integers_at(3, "axes") if call.opset >= PAD_INPUTS_FROM else None
    numbers = call.integers("pads")
    if numbers is None:
        numbers = call.integers_at(1, "pads")
    lows, highs = _per_axis(call, x, check_open(numbers or (), "pads"), axes)
    if any(lows[:2] + highs[:2]):
        call.refuse("it pads the batch or the channels; only axes behind them are padded")
    for axis in range(2, x.rank):
        low, high = min(lows[axis], 0), min(highs[axis], 0)
        if low or high:
            layer = Slice(axis, -low, high or None)
            x = call.add(layer, x, part=f"cut{axis}", shape=_without(x, axis))
    pairs = [(max(a, 0), max(b, 0)) for a, b in zip(lows[2:], highs[2:], strict=True)]
    if any(map(any, pairs)):
        x = call.add(Pad(pairs, border, value), x, shape=(x.shape[0], *(None for _ in pairs)))
    call.put(x)


def _border(call: Call) -> tuple[str, float]:
    mode = call.text("mode", "constant")
    if mode not in _BORDERS:
        raise InvalidArgumentError(f"its mode is {mode!r}; use one of {', '.join(_BORDERS)}")
    value = call.number("value", 0.0)
    if call.optional(2, "value") is not None:
        value = call.scalar(2, "value")
    return _BORDERS[mode], value if mode == "constant" else 0.0


def _per_axis(
    call: Call, x: Value, pads: Shape, axes: tuple[int, ...] | None
) -> tuple[list[int], list[int]]:
    axes = tuple(range(x.rank)) if axes is None else axes
    if len(pads) != 2 * len(axes):
        raise InvalidArgumentError(
            f"its pads {pads} are not 2 numbers for each of {len(axes)} axes"
        )
    lows, highs = [0] * x.rank, [0] * x.rank
    for position, axis in enumerate(axes):
        if not -x.rank <= axis < x.rank:
            raise InvalidArgumentError(f"its axis {axis} is not one of {x.rank}")
        lows[axis], highs[axis] = pads[position], pads[len(axes) + position]
    return lows, highs


def _reduce(
    make: type[ReduceMean | ReduceMax | ReduceSum], whole: type[Layer] | None
) -> Callable[[Call], None]:
    """A reduction; over all spatial axes it is the global pool, where there is one."""

    def reduce(call: Call) -> None:
        x = call.value(0)
        given, keeps = call.axes(1), call.flag("keepdims", default=True)
        if not given and call.flag("noop_with_empty_axes"):
            call.put(x)
            return
        axes = sorted({call.axis(axis, x.rank) for axis in given or range(x.rank)})
        if whole is not None and x.rank > 2 and axes == list(range(2, x.rank)):
            shape = (x.shape[0], *(1 for _ in axes))
            pooled = call.add(whole(), x, part="" if keeps else "pool", shape=shape)
            call.put(pooled if keeps else call.add(Flatten(), pooled, shape=x.shape[:1]))
            return
        left = [
            None if n in axes else s for n, s in enumerate(x.shape, 1) if keeps or n not in axes
        ]
        call.put(call.add(make(tuple(axes), keeps), x, shape=tuple(left)))

    return reduce


OPERATORS = {
    "Concat": concat,
    "Slice": slice_,
    "Gather": gather,
    "Split": split,
    "Pad": pad,
    "ReduceMean": _reduce(ReduceMean, GlobalAvgPool),
    "ReduceMax": _reduce(ReduceMax, GlobalMaxPool),
    "ReduceSum": _reduce(ReduceSum, None),
}
