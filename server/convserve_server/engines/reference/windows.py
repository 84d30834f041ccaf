"""Where the taps of a sliding window fall."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import EllipsisType
from typing import TypeAlias

import numpy as np
from convserve.layers.fields import Padding, Pairs
from convserve.tensors import Array

Index: TypeAlias = tuple[EllipsisType | int | slice, ...]


def taps(
    kernel_size: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    positions: Sequence[int],
) -> Iterator[tuple[Index, Index]]:
    """Each tap of the kernel, and where its element lies for every window at once.

    Window o (0 <= o < positions) along an axis has its tap t at o * stride + t * dilation. The
    first index picks the tap on the last axes of a kernel, the second the elements on the last axes
    of a padded array.
    """
    for tap in np.ndindex(*kernel_size):
        window = [
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, s, d, n in zip(tap, stride, dilation, positions, strict=True)
        ]
        yield (..., *tap), (..., *window)


def pairs(padding: Padding) -> Pairs:
    """The (low, high) pairs of a resolved layer, which has no padding mode left."""
    assert not isinstance(padding, str)
    return padding


def pad_spatial(x: Array, padding: Pairs, mode: str = "zeros", value: float = 0) -> Array:
    """`x` (N, C, *L) with (low, high) elements around each spatial axis. A view if there are none.

    Modes: zeros (or `value`), reflect, replicate, circular.
    """
    if not any(low or high for low, high in padding):
        return x
    width = [(0, 0)] * (x.ndim - len(padding)) + list(padding)
    match mode:
        case "reflect":
            return np.pad(x, width, mode="reflect")
        case "replicate":
            return np.pad(x, width, mode="edge")
        case "circular":
            return np.pad(x, width, mode="wrap")
    return np.pad(x, width, constant_values=np.asarray(value).astype(x.dtype))
