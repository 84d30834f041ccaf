"""Filters with a name, for pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import field, frozen
from convserve.tensors import Array
from numpy.typing import ArrayLike


def _as_taps(rows: ArrayLike) -> Array:
    return np.array(rows, np.float32)


@frozen(eq=False)
class Kernel:
    """A small filter, and how its result becomes a picture with values from 0 to 1."""

    taps: Array = field(converter=_as_taps)
    show: Callable[[Array], Array]

    def weight(self, channels: int) -> Array:
        """The weight of a depthwise convolution: (channels, 1, height, width)."""
        return np.tile(self.taps, (channels, 1, 1, 1))


def stretch(values: Array) -> Array:
    """The values from their minimum to their maximum, spread over 0 to 1."""
    low, high = (values.min(), values.max()) if values.size else (0.0, 0.0)
    return (values - low) / ((high - low) or 1.0)


def _clipped(values: Array) -> Array:
    return values.clip(0.0, 1.0)


def _magnitude(values: Array) -> Array:
    return np.abs(values).clip(0.0, 1.0)


def _around_grey(values: Array) -> Array:
    return (values + 0.5).clip(0.0, 1.0)


_GAUSSIAN = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256  # binomial, nearly sigma 1
_SOBEL = np.outer([1, 2, 1], [-1, 0, 1])

KERNELS: dict[str, Kernel] = {
    "box": Kernel(np.ones((3, 3)) / 9, _clipped),
    "emboss": Kernel([[-1, -0.5, 0], [-0.5, 0, 0.5], [0, 0.5, 1]], _around_grey),
    "gaussian": Kernel(_GAUSSIAN, _clipped),
    "laplacian": Kernel([[0, 1, 0], [1, -4, 1], [0, 1, 0]], _magnitude),
    "sharpen": Kernel([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], _clipped),
    "sobel-x": Kernel(_SOBEL, _magnitude),
    "sobel-y": Kernel(_SOBEL.T, _magnitude),
}
