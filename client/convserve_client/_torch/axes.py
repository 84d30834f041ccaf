"""Calls that move elements: shapes, orders, parts, joins, reductions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from convserve.errors import UnsupportedError
from convserve.layers import (
    Concat,
    Flatten,
    Permute,
    PixelShuffle,
    PixelUnshuffle,
    ReduceMax,
    ReduceMean,
    ReduceSum,
    Reshape,
    Slice,
)
from convserve.tensors import Shape

from convserve_client._torch.site import Handler, Signal, Site, check_signal, refuse


def sample_axis(signal: Signal, dim: Any) -> int:
    """The axis of a sample, from 1, that torch's dim names. Raises UnsupportedError."""
    axis = int(dim) % signal.rank
    refuse(axis == 0, f"dim={dim} is the batch, which no layer touches")
    return axis


def reshape(site: Site, x: Any, *args: Any, **kwargs: Any) -> Signal:
    """Anything that gives the elements another shape: torch has found out which."""
    return reshaped(site, check_signal(x), site.shape)


def reshaped(site: Site, x: Signal, shape: Shape) -> Signal:
    """The signal in another shape; each sample keeps its elements."""
    if shape == x.shape:
        return x
    refuse(
        len(shape) < 2 or shape[0] != x.shape[0],
        f"from {x.shape} to {shape} it mixes samples, or leaves them no axis",
    )
    return site.add(Flatten() if len(shape) == 2 else Reshape(shape[1:]), x, shape=shape)


def permute(site: Site, x: Any, *dims: Any) -> Signal:
    """`permute`, with the batch where it is."""
    signal = check_signal(x)
    order = [int(dim) % signal.rank for dim in (dims[0] if isinstance(dims[0], Sequence) else dims)]
    refuse(order[0] != 0, "it moves the batch axis, which must stay the first")
    if order == list(range(signal.rank)):
        return signal
    return site.add(Permute(order[1:]), signal, shape=tuple(signal.shape[axis] for axis in order))


def transpose(site: Site, x: Any, dim0: int, dim1: int) -> Signal:
    """`transpose` of two axes of a sample."""
    x = check_signal(x)
    order = list(range(x.rank))
    one, other = sample_axis(x, dim0), sample_axis(x, dim1)
    order[one], order[other] = other, one
    return permute(site, x, order)


def concatenate(site: Site, tensors: Iterable[Any], dim: int = 0) -> Signal:
    """`cat` of signals."""
    signals = [check_signal(each) for each in tensors]
    axis = sample_axis(signals[0], dim)
    return signals[0] if len(signals) == 1 else site.add(Concat(axis=axis), *signals)


def stack(site: Site, tensors: Iterable[Any], dim: int = 0) -> Signal:
    """`stack` of signals along a new axis."""
    signals = [check_signal(each) for each in tensors]
    axis = int(dim) % len(site.shape)
    single = (*site.shape[:axis], 1, *site.shape[axis + 1 :])
    return concatenate(site, [reshaped(site, each, single) for each in signals], axis)


def item(site: Site, x: Any, index: Any) -> Any:
    """x[...] with slices, numbers, None and an ellipsis; or one of several results."""
    if not isinstance(x, Signal):
        return x[index]
    parts = list(index) if isinstance(index, tuple) else [index]
    named = sum(part is not None and part is not Ellipsis for part in parts)
    if Ellipsis in parts:
        place = parts.index(Ellipsis)
        parts[place : place + 1] = [slice(None)] * (x.rank - named)
    signal = x
    for axis, part in enumerate(part for part in parts if part is not None):
        signal = _cut(site, signal, axis, part)
    return reshaped(site, signal, site.shape)


def _cut(site: Site, x: Signal, axis: int, part: Any) -> Signal:
    """Some of an axis: a slice, or the one element of an index, whose axis stays."""
    if isinstance(part, int) and not isinstance(part, bool):
        part = slice(part, part + 1 or None)
    if not isinstance(part, slice):
        raise UnsupportedError(
            f"the index {str(part)[:60]} is not supported, only slices and numbers"
        )
    size = x.shape[axis]
    stop = None if part.stop is None or part.stop >= size else part.stop
    rest = range(size)[slice(part.start, stop, part.step)]
    if len(rest) == size:
        return x
    refuse(axis == 0, "it takes some samples of the batch, which no layer touches")
    shape = (*x.shape[:axis], len(rest), *x.shape[axis + 1 :])
    return site.add(Slice(axis, part.start or 0, stop, part.step or 1), x, shape=shape)


def cut(
    site: Site, x: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Signal:
    """ATen's slice."""
    x = check_signal(x)
    return _cut(site, x, int(dim) % x.rank, slice(start, end, step))


def narrow(site: Site, x: Any, dim: int, start: int, length: int) -> Signal:
    """`narrow`: so many elements from one on."""
    return cut(site, x, dim, start, start + length)


def select(site: Site, x: Any, dim: int, index: int) -> Signal:
    """`select`: one element of an axis, which goes."""
    x = check_signal(x)
    return reshaped(site, _cut(site, x, int(dim) % x.rank, index), site.shape)


def chunk(site: Site, x: Any, chunks: int, dim: int = 0) -> tuple[Signal, ...]:
    """`chunk`: parts of one size, the last perhaps smaller."""
    x = check_signal(x)
    return split(site, x, -(-x.shape[int(dim) % x.rank] // chunks), dim)


def split(site: Site, x: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Signal, ...]:
    """`split`: parts of one size, or of these sizes."""
    x = check_signal(x)
    axis, sizes = int(dim) % x.rank, split_size_or_sections
    if isinstance(sizes, int):
        sizes = [sizes] * -(-x.shape[axis] // sizes)
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    return tuple(
        _cut(site, x, axis, slice(start, start + size))
        for start, size in zip(starts, sizes, strict=True)
    )


def pixel_shuffle(site: Site, x: Any, upscale_factor: int) -> Signal:
    """`pixel_shuffle`."""
    return site.add(PixelShuffle(upscale_factor), check_signal(x, 4))


def pixel_unshuffle(site: Site, x: Any, downscale_factor: int) -> Signal:
    """`pixel_unshuffle`."""
    return site.add(PixelUnshuffle(downscale_factor), check_signal(x, 4))


def channel_shuffle(site: Site, x: Any, groups: int) -> Signal:
    """`channel_shuffle`: a transposition of (groups, channels of each)."""
    x = check_signal(x)
    batch, channels, *sizes = x.shape
    apart = reshaped(site, x, (batch, groups, channels // groups, *sizes))
    return reshaped(site, transpose(site, apart, 1, 2), x.shape)


def _reduction(kind: type[ReduceMean | ReduceMax | ReduceSum]) -> Handler:
    def make(
        site: Site, x: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
    ) -> Signal:
        x = check_signal(x)
        refuse(dim is None, "without dim it mixes samples")
        axes = [sample_axis(x, each) for each in (dim if isinstance(dim, Sequence) else [dim])]
        return site.add(kind(axes, keepdim), x)

    return make


mean = _reduction(ReduceMean)
amax = _reduction(ReduceMax)
total = _reduction(ReduceSum)
