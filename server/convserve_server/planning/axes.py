"""A layer's numbers for each spatial axis: one for all of them, or one each; padding modes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

from convserve.errors import InvalidLayerError, ShapeError
from convserve.layers import (
    AvgPool,
    Conv,
    ConvTranspose,
    DepthwiseConv,
    Layer,
    SeparableConv,
)
from convserve.layers.fields import MAX_SPATIAL_RANK, Ints, Padding, Pairs, field_names, settle
from convserve.layers.pool import WindowPool
from convserve.tensors import Shape

from convserve_server.planning.receptive_field import Reach
from convserve_server.planning.windows import Window, same_total, split

T = TypeVar("T")
L = TypeVar("L", bound=Layer)
Windowed: TypeAlias = Conv | ConvTranspose | DepthwiseConv | SeparableConv | WindowPool | AvgPool

_AXIS_NAMES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def axis_names(rank: int) -> tuple[str, ...]:
    """What people call the spatial axes."""
    return _AXIS_NAMES[rank]


def spatial(shape: Shape) -> Shape:
    """The spatial axes of a sample (C, *L). Raises ShapeError unless there are one to three."""
    if not 1 <= len(shape) - 1 <= MAX_SPATIAL_RANK:
        raise ShapeError(
            f"the input {batched(shape)} has {len(shape) - 1} spatial axes; it must have 1 to "
            f"{MAX_SPATIAL_RANK}: (batch, channels, spatial axes...)",
            metadata={"rank": len(shape) + 1, "limit": MAX_SPATIAL_RANK + 2},
        )
    return shape[1:]


def batched(shape: Shape) -> str:
    """A sample's shape as people read it, with N for the batch."""
    return f"({', '.join(['N', *map(str, shape)])})"


def per_axis(values: Sequence[T], rank: int, field: str) -> tuple[T, ...]:
    """One value per spatial axis. Raises InvalidLayerError for another number of them."""
    if len(values) == 1:
        return tuple(values) * rank
    if len(values) != rank:
        raise InvalidLayerError(
            f"{len(values)} values are given, but the input has {rank} spatial "
            f"{'axis' if rank == 1 else 'axes'}; give one value for all or {rank}",
            field=field,
            metadata={"count": len(values), "axes": rank},
        )
    return tuple(values)


def resolve_padding(padding: Padding, windows: Sequence[Window]) -> Pairs:
    """(low, high) per axis, of numbers or of a mode; the windows' own padding is not read."""
    if not isinstance(padding, str):
        return per_axis(padding, len(windows), "padding")
    if padding == "causal" and len(windows) != 1:
        raise InvalidLayerError(
            f"'causal' needs exactly 1 spatial axis, but the input has {len(windows)}; give "
            "numbers as nested (low, high) pairs",
            field="padding",
            metadata={"value": padding, "axes": len(windows), "limit": 1},
        )
    return tuple(_mode_padding(padding, window) for window in windows)


def _mode_padding(mode: str, window: Window) -> tuple[int, int]:
    if mode == "valid":
        return 0, 0
    if mode == "causal":
        return window.span - 1, 0
    if mode == "full":
        return window.span - 1, window.span - 1
    total = same_total(window.length, window.span, window.stride)
    return split(total, more_low=mode == "same_lower")


def spread(layer: L, rank: int, *fields: str) -> L:
    """The layer with one value per spatial axis in each of `fields`."""
    given = {name: getattr(layer, name) for name in fields}
    values: dict[str, Any] = {name: per_axis(given[name], rank, name) for name in fields}
    return layer if values == given else settle(layer, **values)


def likeness(layer: Layer) -> object:
    """What layers of one kind have in common that differ in name and inputs alone."""
    return _likeness(type(layer))(layer)  # type: ignore[arg-type]  # classes are hashable


@cache  # one entry per kind
def _likeness(kind: type[Layer]) -> Callable[[Layer], object]:
    common = ("name", "inputs")
    own = (name for name in field_names(kind) if name not in common)  # type: ignore[arg-type]
    return attrgetter("__class__", *own)


def padding_of(layer: Windowed, shape: Shape) -> Pairs:
    """(low, high) per axis of a sample, of the numbers or the mode that the layer has."""
    if not isinstance(layer.padding, str):  # by far the most: no windows are made for them
        return per_axis(layer.padding, len(shape) - 1, "padding")
    return resolve_padding(layer.padding, windows_of(layer, shape))


def windows_of(layer: Windowed, shape: Shape) -> tuple[Window, ...]:
    """One window per spatial axis of a sample, of a layer with one value per axis.

    A padding that is still a mode counts as none.
    """
    padding = ((0, 0),) if isinstance(layer.padding, str) else layer.padding
    stride = layer.stride or layer.kernel_size
    return _windows(shape[1:], layer.kernel_size, stride, layer.dilation, padding)


@lru_cache(maxsize=1024)  # every rule of a layer asks for them, and most layers have the same
def _windows(
    lengths: Shape, kernel_size: Ints, stride: Ints, dilation: Ints, padding: Pairs
) -> tuple[Window, ...]:
    pairs = per_axis(padding, len(lengths), "padding")
    return tuple(
        Window(length, kernel, step, gap, low, high)
        for length, kernel, step, gap, (low, high) in zip(
            lengths, kernel_size, stride, dilation, pairs, strict=True
        )
    )


def resolve_axis(axis: int, shape: Shape, field: str) -> int:
    """The number from 1 (the channels) of an axis of a sample; -1 is the last one.

    Raises InvalidLayerError for an axis that the sample does not have.
    """
    if not 1 <= abs(axis) <= len(shape):
        raise InvalidLayerError(
            f"{axis} is no axis of {batched(shape)}; use 1 to {len(shape)}, or -1 to "
            f"-{len(shape)} from the end",
            field=field,
            metadata={"value": axis, "limit": len(shape)},
        )
    return axis if axis > 0 else len(shape) + 1 + axis


def along(axes: Sequence[int], shape: Shape) -> tuple[Reach, ...]:
    """The reach of what sees all of `axes`, numbered from 1, and one element along the others."""
    if not any(axis > 1 for axis in axes):
        return ()
    return tuple(
        Reach(span=length, stride=0) if axis in axes else Reach()
        for axis, length in enumerate(shape[1:], start=2)
    )


def check_fits(windows: Sequence[Window]) -> None:
    """Raise ShapeError unless every kernel fits its padded axis."""
    for axis, window in enumerate(windows):
        if not window.fits:
            padded = window.length + window.low + window.high
            raise ShapeError(
                f"kernel {window.kernel_size} with dilation {window.dilation} spans {window.span} "
                f"and does not fit the padded {axis_names(len(windows))[axis]} of {padded} "
                f"({window.low} + {window.length} + {window.high}); use a smaller kernel or more "
                "padding",
                field="kernel_size",
                metadata={"axis": axis, "value": window.span, "limit": padded},
            )


def check_border(mode: str, padding: Pairs, lengths: Shape) -> None:
    """Raise ShapeError for more padding than `reflect` or `circular` can take from the input."""
    if mode not in ("reflect", "circular"):
        return
    for axis, (pair, length) in enumerate(zip(padding, lengths, strict=True)):
        limit = length - 1 if mode == "reflect" else length
        if max(pair) > limit:
            raise ShapeError(
                f"{mode} padding {max(pair)} is above the limit of {limit} for a "
                f"{axis_names(len(lengths))[axis]} of {length}; pad less, or use 'replicate'",
                field="padding",
                metadata={"axis": axis, "value": max(pair), "limit": limit},
            )


def check_result(output: Shape) -> None:
    """Raise ShapeError for a result (C, *L') whose padding cuts all of an axis away."""
    for axis, size in enumerate(output[1:]):
        if size < 1:
            raise ShapeError(
                f"the {axis_names(len(output) - 1)[axis]} of the result would be {size}, but must "
                "be at least 1; cut less with padding",
                field="padding",
                metadata={"axis": axis, "value": size, "limit": 1},
            )


def explain_padding(mode: Padding, window: Window) -> list[str]:
    """How a mode became numbers; nothing for numbers."""
    if not isinstance(mode, str):
        return []
    length, e, stride = window.length, window.span, window.stride
    if mode in ("causal", "full"):
        return [f"{mode}: low = e - 1 = {e} - 1 = {window.low}, high = {window.high}"]
    if not mode.startswith("same"):
        return []
    rounding = "ceil" if mode == "same_lower" else "floor"
    total = same_total(length, e, stride)
    return [
        (
            f"{mode}: total = max(0, (ceil(L / stride) - 1) * stride + e - L) = "
            f"max(0, (ceil({length} / {stride}) - 1) * {stride} + {e} - {length}) = {total}"
        ),
        (
            f"{mode}: low = {rounding}(total / 2) = {rounding}({total} / 2) = {window.low}, "
            f"high = total - low = {total} - {window.low} = {window.high}"
        ),
    ]


def explain_span(window: Window) -> str:
    """The formula of e, and the same with the numbers."""
    return (
        "e = dilation * (kernel_size - 1) + 1 = "
        f"{window.dilation} * ({window.kernel_size} - 1) + 1 = {window.span}"
    )


def explain_count(window: Window) -> str:
    """The formula of the output length, and the same with the numbers."""
    numbers = f"{window.length} + {window.low} + {window.high} - {window.span}"
    return (
        "L' = floor((L + low + high - e) / stride) + 1 = "
        f"floor(({numbers}) / {window.stride}) + 1 = {window.count}"
    )


def explain_windows(
    padding: Padding,
    windows: Sequence[Window],
    explain_size: Callable[[Window], str] = explain_count,
) -> list[str]:
    """For each axis e, the padding of a mode, and the output length."""
    lines = []
    for axis, window in zip(axis_names(len(windows)), windows, strict=True):
        formulas = [explain_span(window), *explain_padding(padding, window), explain_size(window)]
        lines += [f"{axis}: {line}" for line in formulas]
    return lines


def product(sizes: Sequence[int]) -> str:
    """`(3, 5)` as `(3 * 5)`."""
    return f"({' * '.join(map(str, sizes))})" if len(sizes) > 1 else str(sizes[0])
