"""A tensor as it lies in a buffer: shape and strides, and other views of the same elements."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import evolve, frozen
from convserve.tensors import Shape, dtype_of


@frozen
class View:
    """Elements of `buffer`: the one at index i is number `offset + sum(i * strides)` in it.

    The axes are in their logical order, (N, C, *L) of an activation, wherever they lie. A stride
    may be 0 (the same elements again) or negative.
    """

    buffer: str
    dtype: str
    shape: Shape
    strides: Shape
    offset: int = 0

    @property
    def element_count(self) -> int:
        """The product of the shape."""
        return math.prod(self.shape)

    @property
    def item_bytes(self) -> int:
        """The bytes of one element."""
        return dtype_of(self.dtype).itemsize

    @property
    def byte_count(self) -> int:
        """The bytes of all elements, were they copied out."""
        return self.element_count * self.item_bytes

    def permuted(self, axes: Sequence[int]) -> View:
        """The axes in another order."""
        return evolve(
            self,
            shape=tuple(self.shape[axis] for axis in axes),
            strides=tuple(self.strides[axis] for axis in axes),
        )

    def sliced(self, axis: int, start: int, count: int, step: int = 1) -> View:
        """`count` elements along an axis: `start`, `start + step` and so on; `step` may be < 0."""
        return evolve(
            self,
            shape=_with(self.shape, axis, count),
            strides=_with(self.strides, axis, self.strides[axis] * step),
            offset=self.offset + start * self.strides[axis],
        )

    def inserted(self, axis: int, size: int = 1) -> View:
        """A new axis before `axis`, along which every element is the same."""
        return evolve(
            self,
            shape=(*self.shape[:axis], size, *self.shape[axis:]),
            strides=(*self.strides[:axis], 0, *self.strides[axis:]),
        )

    def split(self, axis: int, sizes: Sequence[int]) -> View:
        """One axis as several, the last the fastest; the product of `sizes` is its size."""
        stride = self.strides[axis]
        strides = [stride * math.prod(sizes[place + 1 :]) for place in range(len(sizes))]
        return evolve(
            self,
            shape=(*self.shape[:axis], *sizes, *self.shape[axis + 1 :]),
            strides=(*self.strides[:axis], *strides, *self.strides[axis + 1 :]),
        )

    def expanded(self, shape: Shape) -> View:
        """Broadcast as NumPy does: axes of size 1 repeat, and missing leading axes too."""
        missing = len(shape) - len(self.shape)
        sizes = (*[1] * missing, *self.shape)
        strides = (*[0] * missing, *self.strides)
        repeated = tuple(
            0 if size == 1 else stride for size, stride in zip(sizes, strides, strict=True)
        )
        return evolve(self, shape=shape, strides=repeated)

    def along(self, axis: int, shape: Shape) -> View:
        """A vector as a tensor of a shape: its numbers go along one axis and repeat over others."""
        strides = [0] * len(shape)
        strides[axis] = self.strides[0]
        return evolve(self, shape=shape, strides=tuple(strides))

    def reshaped(self, shape: Shape) -> View | None:
        """Another shape of the elements in their logical order; None if they must be copied."""
        if not self.is_contiguous:
            return None
        return evolve(self, shape=shape, strides=contiguous(shape))

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie one after the other in their logical order."""
        return _lies_as(self, contiguous(self.shape))

    @property
    def is_channels_last(self) -> bool:
        """Whether the elements lie one after the other with axis 1 the fastest."""
        return _lies_as(self, channels_last(self.shape))


def new_view(buffer: str, dtype: str, shape: Shape, *, last: bool = False) -> View:
    """All of a new buffer, contiguous; with the channels `last` if it has spatial axes."""
    return View(buffer, dtype, shape, channels_last(shape) if last else contiguous(shape))


def contiguous(shape: Shape) -> Shape:
    """The strides of elements in their logical order."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def channels_last(shape: Shape) -> Shape:
    """The strides of a tensor (N, C, *L) that lies as (N, *L, C)."""
    if len(shape) < 3:
        return contiguous(shape)
    channels, *sizes = shape[1:]
    inner = [channels * math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    return (channels * math.prod(sizes), 1, *inner)


def collapse(target: View, *others: View) -> tuple[View, ...]:
    """The same elements in the fewest axes, the fastest of `target` last: the pairs stay the same.

    All have one shape, and none has an axis twice. For kernels that go through all elements.
    """
    axes = [axis for axis, size in enumerate(target.shape) if size != 1]
    axes.sort(key=lambda axis: -abs(target.strides[axis]))
    views = [view.permuted(axes) for view in (target, *others)]
    axis = len(axes) - 2
    while axis >= 0:
        if all(_may_merge(view, axis) for view in views):
            views = [_merged(view, axis) for view in views]
        axis -= 1
    return tuple(views)


def _may_merge(view: View, axis: int) -> bool:
    return view.strides[axis] == view.strides[axis + 1] * view.shape[axis + 1]


def _merged(view: View, axis: int) -> View:
    size = view.shape[axis] * view.shape[axis + 1]
    return evolve(
        view,
        shape=(*view.shape[:axis], size, *view.shape[axis + 2 :]),
        strides=(*view.strides[:axis], *view.strides[axis + 1 :]),
    )


def _lies_as(view: View, strides: Shape) -> bool:
    sizes = zip(view.shape, view.strides, strides, strict=True)
    return 0 in view.shape or all(size == 1 or own == other for size, own, other in sizes)


def _with(values: Shape, axis: int, value: int) -> Shape:
    return (*values[:axis], value, *values[axis + 1 :])
