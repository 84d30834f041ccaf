"""Elements that lie side by side and are read and written at once: see pack.cuh."""

from __future__ import annotations

from convserve.tensors import dtype_of

from convserve_server.engines.cuda.kernels.table import FLOATS
from convserve_server.engines.cuda.views import View

_BYTES = 16  # what a thread reads at once


def pack_size(dtype: str) -> int:
    """The elements of a pack."""
    return _BYTES // dtype_of(dtype).itemsize


def may_pack(view: View, axis: int, size: int = 0) -> bool:
    """Whether the view is whole packs, of `size` elements if given, along an axis.

    All of them at places that are aligned to their size.
    """
    size = size or pack_size(view.dtype)
    axes = enumerate(zip(view.shape, view.strides, strict=True))
    steps = [stride for place, (count, stride) in axes if place != axis and count > 1]
    aligned = all(number % size == 0 for number in (view.shape[axis], view.offset, *steps))
    return view.dtype in FLOATS and view.strides[axis] == 1 and aligned


def packs(view: View, axis: int) -> View:
    """The first element of each pack."""
    size = pack_size(view.dtype)
    return view.sliced(axis, 0, view.shape[axis] // size, size)
