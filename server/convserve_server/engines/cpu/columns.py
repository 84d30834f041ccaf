"""Convolutions as matrix products over blocks of columns (im2col), for what BLAS computes.

Any rank, stride, dilation, padding and groups. Columns are copied block by block, so that the
memory in use does not grow with the tensors. Transposed convolutions and the gradient for the input
are sums of convolutions of stride 1 (`windows.transposed_phases`), so nothing multiplies zeros and
nothing is added twice.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from convserve.layers.fields import Ints
from convserve.tensors import Array
from numpy.lib.stride_tricks import as_strided
from numpy.typing import DTypeLike

from convserve_server.engines.cpu.team import Team
from convserve_server.engines.cpu.windows import (
    Axis,
    Block,
    Geometry,
    block_counts,
    blocks,
    conv_axes,
    reads_patch,
    transposed_phases,
)


def conv(
    x: Array,
    weight: Array,
    bias: Array | None,
    out: Array,
    geometry: Geometry,
    compute: DTypeLike,
    team: Team,
) -> None:
    """Fill `out` (N, K, *L') with the convolution of `x` (N, C, *L) by `weight` (K, C/g, *k).

    Products and sums are of type `compute`; they are rounded once, to the type of `out`.
    """
    axes = conv_axes(x.shape[2:], weight.shape[2:], geometry, out.shape[2:])
    groups = geometry.groups
    matrix = weight.reshape(groups, weight.shape[0] // groups, -1).astype(compute, copy=False)
    _multiply(x, matrix, bias, out, axes, team)


def conv_transpose(
    x: Array,
    weight: Array,
    bias: Array | None,
    out: Array,
    geometry: Geometry,
    compute: DTypeLike,
    team: Team,
) -> None:
    """Fill `out` (N, K, *L') with the transposed convolution of `x` by `weight` (C, K/g, *k).

    The gradient of a convolution for its input is this of the output's gradient.
    """
    groups, stride = geometry.groups, geometry.stride
    channels, filters = weight.shape[0] // groups, weight.shape[1]
    grouped = weight.reshape(groups, channels, filters, *weight.shape[2:]).swapaxes(1, 2)
    shapes = zip(x.shape[2:], out.shape[2:], weight.shape[2:], strict=True)
    phases = [
        transposed_phases(*shape, step, low, spacing)
        for shape, step, (low, _), spacing in zip(
            shapes, stride, geometry.padding, geometry.dilation, strict=True
        )
    ]
    if any(len(found) < step for found, step in zip(phases, stride, strict=True)):
        out[...] = 0 if bias is None else _per_channel(bias, out)  # no tap reaches some outputs
    for phase in itertools.product(*phases):
        chosen: tuple[Any, ...] = np.ix_(*(part.taps for part in phase))
        taps = grouped[(..., *chosen)]
        matrix = taps.reshape(groups, filters, -1).astype(compute, copy=False)
        strides = (slice(part.first, None, s) for part, s in zip(phase, stride, strict=True))
        place = out[(slice(None), slice(None), *strides)]
        _multiply(x, matrix, bias, place, tuple(part.axis for part in phase), team)


def conv_weight_gradient(
    x: Array,
    grad_output: Array,
    out: Array,
    geometry: Geometry,
    compute: DTypeLike,
    team: Team,
) -> None:
    """Fill `out` (K, C/g, *k) with the gradient of a convolution for its weight.

    Of complex tensors it is the adjoint, the sum of grad_output * conj(x), as in PyTorch.

    A block's sum is of type `compute`; blocks are added in float64, complex128 or int64, because
    the sum runs over the whole batch and every position.
    """
    batch = Axis(x.shape[0], x.shape[0])
    taps, positions = out.shape[2:], grad_output.shape[2:]
    axes = (batch, *conv_axes(x.shape[2:], taps, geometry, positions))
    rows, groups = x.shape[1] * math.prod(taps), geometry.groups
    counts = block_counts(_positions(axes), rows * np.dtype(compute).itemsize, team.threads)

    def add_blocks(share: Sequence[Block]) -> Array:
        buffer = np.empty(math.prod(counts) * rows, compute)
        total = np.zeros((groups, out.shape[0] // groups, rows // groups), _widest(compute))
        for block in share:
            shape = (x.shape[1], *(axis.taps for axis in axes), *(count for _, count in block))
            part = buffer[: math.prod(shape)].reshape(shape)
            _fill(x.swapaxes(0, 1), axes, block, part)
            rates = _region(grad_output.swapaxes(0, 1), block).astype(compute, order="C")
            np.conj(rates, out=rates)
            by_group = rates.reshape(groups, out.shape[0] // groups, -1)
            total += by_group @ part.reshape(groups, rows // groups, -1).swapaxes(1, 2)
        return total

    totals = team.share(add_blocks, blocks(_positions(axes), counts))
    out[...] = np.conj(np.sum(totals, axis=0)).reshape(out.shape) if totals else 0


def _multiply(
    x: Array,
    matrix: Array,
    bias: Array | None,
    out: Array,
    spatial: tuple[Axis, ...],
    team: Team,
) -> None:
    """`out` (N, K, *positions) = `matrix` (g, K/g, C/g * taps) times the columns of `x`, + bias."""
    groups, _, depth = matrix.shape
    axes = (Axis(x.shape[0], x.shape[0]), *spatial)
    taps = tuple(axis.taps for axis in spatial)
    ready = _is_matrix(x, matrix, spatial)
    counts = block_counts(_positions(axes), groups * depth * matrix.itemsize, team.threads)

    def multiply_blocks(share: Sequence[Block]) -> None:
        buffer = np.empty(0 if ready else math.prod(counts) * groups * depth, matrix.dtype)
        for block in share:
            (_, batch), *rest = block
            if ready:
                columns = _run(x, block)
            else:
                shape = (batch, x.shape[1], *taps, *(count for _, count in rest))
                columns = buffer[: math.prod(shape)].reshape(shape)
                by_axis = np.expand_dims(np.moveaxis(columns, 0, 1 + len(taps)), 1)
                _fill(x.swapaxes(0, 1), axes, block, by_axis)  # the batch axis has one tap
            _write(matrix, columns.reshape(batch, groups, depth, -1), bias, out, block)

    team.share(multiply_blocks, blocks(_positions(axes), counts))


def _write(matrix: Array, columns: Array, bias: Array | None, out: Array, block: Block) -> None:
    """Multiply one block into its place; through a buffer where BLAS cannot write."""
    groups, filters, _ = matrix.shape
    batch = columns.shape[0]
    if out.flags.c_contiguous and out.dtype == matrix.dtype:
        place = _run(out, block)
        np.matmul(matrix, columns, out=place.reshape(batch, groups, filters, -1))
        _add_bias(place, bias)
        return
    sizes = (count for _, count in block[1:])
    product = (matrix @ columns).reshape(batch, groups * filters, *sizes)
    _add_bias(product, bias)
    _region(out.swapaxes(0, 1), block)[...] = product.swapaxes(0, 1)


def _run(array: Array, block: Block) -> Array:
    """The part of a contiguous array (N, C, *positions) in `block`, as a view (n, C, run)."""
    (first, batch), *rest = block
    start = int(np.ravel_multi_index([low for low, _ in rest], array.shape[2:]))
    flat = array.reshape(*array.shape[:2], -1)
    return flat[first : first + batch, :, start : start + math.prod(count for _, count in rest)]


def _fill(x: Array, axes: Sequence[Axis], block: Block, columns: Array) -> None:
    """Copy what `block` of the windows over `x` (C, *sizes) reads into (C, *taps, *block)."""
    spans = list(zip(axes, block, strict=True))
    lows = [first * axis.stride + axis.offset for axis, (first, _) in spans]
    if all(axis.fits(*span) for axis, span in spans):
        corner = tuple(slice(low, None) for low in (0, *lows))
        _fill_windows(x[corner], axes, columns)
    elif reads_patch(axes, [count for _, count in block]):
        extents = [axis.extent(count) for axis, (_, count) in spans]
        _fill_windows(_cut_patch(x, lows, extents), axes, columns)
    else:
        for tap in itertools.product(*(range(axis.taps) for axis in axes)):
            of_tap: tuple[Any, ...] = (slice(None), *tap)
            _fill_tap(x, axes, block, tap, columns[of_tap])


def _fill_windows(corner: Array, axes: Sequence[Axis], columns: Array) -> None:
    """Copy all windows at once; the first one starts at the corner (C, *rest)."""
    steps = list(zip(corner.strides[1:], axes, strict=True))
    strides: Ints = (
        corner.strides[0],
        *(step * axis.spacing for step, axis in steps),
        *(step * axis.stride for step, axis in steps),
    )
    np.copyto(columns, as_strided(corner, columns.shape, strides, writeable=False), "unsafe")


def _cut_patch(x: Array, lows: Sequence[int], extents: Sequence[int]) -> Array:
    """The part of `x` (C, *sizes) that starts at `lows`, with zeros where `x` ends."""
    patch = np.zeros((x.shape[0], *extents), x.dtype)
    source: list[slice] = [slice(None)]
    place: list[slice] = [slice(None)]
    for low, extent, size in zip(lows, extents, x.shape[1:], strict=True):
        start = min(max(0, low), size)
        stop = max(start, min(size, low + extent))
        source.append(slice(start, stop))
        place.append(slice(start - low, stop - low) if stop > start else slice(0, 0))
    patch[tuple(place)] = x[tuple(source)]
    return patch


def _fill_tap(x: Array, axes: Sequence[Axis], block: Block, tap: Ints, target: Array) -> None:
    """What one tap reads: elements where there are some, zeros in the padding."""
    source: list[slice] = [slice(None)]
    place: list[slice] = [slice(None)]
    for axis, (first, count), t in zip(axes, block, tap, strict=True):
        low, high = axis.inside(t, first, count)
        start = (first + low) * axis.stride + t * axis.spacing + axis.offset
        source.append(slice(start, start + (high - low - 1) * axis.stride + 1, axis.stride))
        target[(*place, slice(0, low))] = 0
        target[(*place, slice(high, None))] = 0
        place.append(slice(low, high))
    if all(part.stop > part.start for part in place[1:]):
        np.copyto(target[tuple(place)], x[tuple(source)], "unsafe")


def _is_matrix(x: Array, matrix: Array, spatial: tuple[Axis, ...]) -> bool:
    """Whether `x` is already its own columns, for BLAS to read."""
    whole = all(axis == Axis(axis.size, axis.size, spacing=axis.spacing) for axis in spatial)
    return whole and x.dtype == matrix.dtype and bool(x.flags.c_contiguous)


def _widest(compute: DTypeLike) -> np.dtype[Any]:
    """float64, complex128 or int64."""
    return np.result_type(compute, np.int64)


def _add_bias(out: Array, bias: Array | None) -> None:
    if bias is not None:
        out += _per_channel(bias.astype(out.dtype, copy=False), out)


def _per_channel(bias: Array, out: Array) -> Array:
    return bias.reshape(-1, *(1 for _ in out.shape[2:]))


def _positions(axes: Sequence[Axis]) -> Ints:
    return tuple(axis.positions for axis in axes)


def _region(array: Array, block: Block) -> Array:
    """The part of an array (C, *positions) that lies in `block`."""
    return array[(slice(None), *(slice(first, first + count) for first, count in block))]
