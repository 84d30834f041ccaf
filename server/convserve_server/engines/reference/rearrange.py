"""Layers that move elements without computing."""

from __future__ import annotations

from convserve.layers import Pad, PixelShuffle, PixelUnshuffle
from convserve.tensors import Array, TensorSpec

from convserve_server.engines.reference.windows import pad_spatial, pairs


def pad(layer: Pad, output: TensorSpec, x: Array) -> Array:
    """Elements around the spatial axes."""
    return pad_spatial(x, pairs(layer.padding), layer.mode, layer.value)


def pixel_shuffle(layer: PixelShuffle, output: TensorSpec, x: Array) -> Array:
    """(N, C * r^n, *L) to (N, C, *(L * r)): factor r of a channel becomes r places of an axis."""
    rank = x.ndim - 2
    split = x.reshape(x.shape[0], output.shape[1], *[layer.factor] * rank, *x.shape[2:])
    factors, sizes = range(2, 2 + rank), range(2 + rank, 2 + 2 * rank)
    interleaved = [axis for pair in zip(sizes, factors, strict=True) for axis in pair]
    return split.transpose(0, 1, *interleaved).reshape(output.shape)


def pixel_unshuffle(layer: PixelUnshuffle, output: TensorSpec, x: Array) -> Array:
    """(N, C, *(L * r)) to (N, C * r^n, *L): the inverse of `pixel_shuffle`."""
    rank = x.ndim - 2
    places = [part for size in output.shape[2:] for part in (size, layer.factor)]
    split = x.reshape(*x.shape[:2], *places)
    sizes, factors = range(2, 2 + 2 * rank, 2), range(3, 3 + 2 * rank, 2)
    return split.transpose(0, 1, *factors, *sizes).reshape(output.shape)
