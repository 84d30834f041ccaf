"""The arithmetic of windows along one axis: exact integers, no tensors.

L is the length of the axis; e, the span, is the distance from a kernel's first tap to its last,
both included: e = dilation * (kernel_size - 1) + 1.
"""

from __future__ import annotations

import msgspec


class Window(msgspec.Struct, frozen=True):
    """A kernel that slides along one axis of `length` elements, padded by `low` and `high`."""

    length: int
    kernel_size: int
    stride: int = 1
    dilation: int = 1
    low: int = 0
    high: int = 0

    @property
    def span(self) -> int:
        """e: elements from the first tap to the last."""
        return span(self.kernel_size, self.dilation)

    @property
    def fits(self) -> bool:
        """Whether at least one window lies within the padded axis."""
        return self.length + self.low + self.high >= self.span

    @property
    def count(self) -> int:
        """Windows that lie within the padded axis: floor((L + low + high - e) / stride) + 1."""
        room = self.length + self.low + self.high - self.span
        return room // self.stride + 1 if room >= 0 else 0

    @property
    def ceil_count(self) -> int:
        """Windows of a pool under `ceil_mode`: rounded up, but the last one starts inside.

        PyTorch's rule (ATen/native/Pool.h): a window that would start at or after L + low is
        dropped.
        """
        room = self.length + self.low + self.high - self.span
        count = -(-room // self.stride) + 1
        return count - 1 if (count - 1) * self.stride >= self.length + self.low else count

    @property
    def transposed_length(self) -> int:
        """The axis that a transposed convolution makes: (L - 1) * stride - low - high + e."""
        return (self.length - 1) * self.stride - self.low - self.high + self.span


def span(kernel_size: int, dilation: int = 1) -> int:
    """The span of a kernel: e = dilation * (kernel_size - 1) + 1."""
    return dilation * (kernel_size - 1) + 1


def same_total(length: int, span: int, stride: int) -> int:
    """Padding with which ceil(L / stride) windows fit: max(0, (ceil(L / s) - 1) * s + e - L).

    TensorFlow's rule: it depends on L where stride > 1.
    """
    return max(0, (-(-length // stride) - 1) * stride + span - length)


def split(total: int, *, more_low: bool) -> tuple[int, int]:
    """`total` elements on both sides; an odd one goes low if `more_low`, else high."""
    low = total - total // 2 if more_low else total // 2
    return low, total - low
