"""Deformable convolution: the sum over taps of `conv`, with values read between the elements.

Definition: torchvision's deform_conv2d and ONNX's DeformConv.
"""

from __future__ import annotations

import math

import numpy as np
from convserve.layers import DeformConv
from convserve.tensors import Array, TensorSpec

from convserve_server.engines.reference.accumulation import widen
from convserve_server.engines.reference.conv import (
    add_bias,
    mix_channels,
    split_channels,
    split_leading,
)
from convserve_server.engines.reference.windows import pairs


def deform_conv(
    layer: DeformConv,
    output: TensorSpec,
    x: Array,
    offset: Array,
    mask: Array | None = None,
    *,
    weight: Array,
    bias: Array | None = None,
) -> Array:
    """`x` (N, C, H, W) with `weight` (K, C / groups, kh, kw), read where the offsets say.

    `offset` is (N, 2 * offset_groups * taps, H', W'), per tap y before x; `mask` is (N,
    offset_groups * taps, H', W').
    """
    sources = split_channels(widen(x, output), layer.offset_groups)
    offsets = _by_tap(layer, widen(offset, output), 2)
    masks = None if mask is None else _by_tap(layer, widen(mask, output), 1)
    kernel = split_leading(widen(weight, output), layer.groups)
    y = np.zeros((x.shape[0], *kernel.shape[:2], *output.shape[2:]), kernel.dtype)
    for number, tap in enumerate(np.ndindex(*layer.kernel_size)):
        rows, columns = _places(layer, tap, output.shape[2:])
        places = offsets[:, :, number]
        values = read_between(sources, rows + places[:, :, 0], columns + places[:, :, 1])
        if masks is not None:
            values = values * masks[:, :, number]
        channels = values.reshape(*x.shape[:2], *output.shape[2:])
        y += mix_channels(kernel[(..., *tap)], split_channels(channels, layer.groups))
    return add_bias(y.reshape(output.shape), bias)


def read_between(x: Array, rows: Array, columns: Array) -> Array:
    """`x` (N, G, C, H, W) at fractional places (N, G, H', W'): bilinear, with zeros outside.

    Gives (N, G, C, H', W'). A place that is not a number is outside.
    """
    height, width = x.shape[-2:]
    inside = (rows > -1) & (rows < height) & (columns > -1) & (columns < width)
    rows, columns = np.where(inside, rows, -1.0), np.where(inside, columns, -1.0)
    size = math.prod(rows.shape[2:])
    total = np.zeros((*x.shape[:3], *rows.shape[2:]), x.dtype)
    first_row, first_column = np.floor(rows), np.floor(columns)
    for i, j in np.ndindex(2, 2):
        row, column = first_row + i, first_column + j
        share = (1 - np.abs(rows - row)) * (1 - np.abs(columns - column))
        exists = inside & (row >= 0) & (row < height) & (column >= 0) & (column < width)
        places = np.where(exists, row * width + column, 0).astype(np.int64)
        flat = x.reshape(*x.shape[:3], height * width)
        picked = np.take_along_axis(flat, places.reshape(*x.shape[:2], 1, size), axis=3)
        picked = picked.reshape(total.shape)
        total += np.where(exists[:, :, None], share[:, :, None] * picked, 0)
    return total


def _by_tap(layer: DeformConv, array: Array, parts: int) -> Array:
    """(N, offset_groups * taps * parts, H', W') to (N, offset_groups, taps, parts, H', W')."""
    taps = math.prod(layer.kernel_size)
    return array.reshape(len(array), layer.offset_groups, taps, parts, *array.shape[2:])


def _places(
    layer: DeformConv, tap: tuple[int, ...], positions: tuple[int, ...]
) -> tuple[Array, Array]:
    """Rows (H', 1) and columns (1, W') that a tap reads without offsets."""
    rows, columns = (
        np.arange(count) * stride - low + index * dilation
        for count, stride, (low, _), index, dilation in zip(
            positions, layer.stride, pairs(layer.padding), tap, layer.dilation, strict=True
        )
    )
    return rows[:, None], columns[None, :]
