"""Tensors as three axes, (outer, terms, inner), of which the middle is reduced: see rows.cuh."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from attrs import evolve

from convserve_server.engines.cuda.kernels.table import HALVES
from convserve_server.engines.cuda.lowering.builder import Builder
from convserve_server.engines.cuda.views import View

# Chosen by reasoning, not measured: an H200 holds 2^18 threads, and reads for half of them keep its
# memory busy; a thread reads so many terms in about the time that another launch takes.
_THREADS = 1 << 17
_SHORT = 256
_LEAST_TERMS = 64  # of each part of a row, where there are several
_LEAST_PRODUCTS = 256  # of each part of a sum of products


def sum_type(dtype: str) -> str:
    """The type in which kernels make sums: `Sum` in common.cuh."""
    return "float32" if dtype in HALVES else dtype


def beside(builder: Builder, view: View) -> View:
    """The same values with the channels of a position side by side, so that neighbours are read.

    Some channels or positions of a tensor that lies so are taken where they are.
    """
    return view if view.strides[1] == 1 or view.shape[1] == 1 else builder.channels_last(view)


def rows(
    builder: Builder, view: View, outer: Sequence[int], terms: Sequence[int], inner: Sequence[int]
) -> View:
    """The view with the axes of each list as one; a copy with the channels last if need be."""
    found = as_rows(view, outer, terms, inner)
    if found is None:
        found = as_rows(builder.channels_last(view), outer, terms, inner)
    if found is None:
        raise ValueError(f"axes {outer}, {terms}, {inner} of {view.shape} do not merge")
    return found


def as_rows(
    view: View, outer: Sequence[int], terms: Sequence[int], inner: Sequence[int]
) -> View | None:
    """The view with the axes of each list as one, or None if a list's do not lie as one."""
    merged = [_merged(view, axes) for axes in (outer, terms, inner)]
    found = [each for each in merged if each is not None]
    if len(found) < len(merged):
        return None
    sizes, strides = zip(*found, strict=True)
    return evolve(view, shape=sizes, strides=strides)


def part_count(sums: int, products: int) -> int:
    """In how many parts to make sums of so many products each, so that the device is busy."""
    return max(1, min(-(-_THREADS // max(sums, 1)), products // _LEAST_PRODUCTS))


def passes(source: View) -> Iterator[tuple[int, int, int]]:
    """The shape (outer, parts, inner) after each launch of a reduction; in the end with one part.

    A single launch, unless many terms are in the way of few results.
    """
    outer, terms, inner = source.shape[:3]
    while True:
        most = max(1, _THREADS // max(1, outer * inner))
        terms = 1 if terms <= _SHORT else min(terms // _LEAST_TERMS, most)
        yield outer, terms, inner
        if terms == 1:
            return


def sum_rows(
    builder: Builder, target: View, source: View, divisor: float, *, power: int = 0
) -> None:
    """Sums over the middle axis of rows, divided; or the norms, if there is a `power`."""
    *partial, _ = passes(source)
    term_power = power
    for shape in partial:
        made = builder.new("float64", shape, last=False)
        _sum(builder, made, source, term_power, 1, 1.0)
        source, term_power = made, 0
    _sum(builder, target, source, term_power, max(1, power), divisor)


def largest_of_rows(builder: Builder, target: View, source: View) -> None:
    """The largest along the middle axis of rows; a NaN wins."""
    _reduce_rows(builder, "LargestRows", target, source)


def add_rows(builder: Builder, target: View, source: View) -> None:
    """Sums over the middle axis of rows, of integers, which wrap around, or complex numbers."""
    _reduce_rows(builder, "AddRows", target, source)


def _reduce_rows(builder: Builder, name: str, target: View, source: View) -> None:
    """By a kernel that reads the type that it makes."""
    for shape in passes(source):
        made = target if shape[1] == 1 else builder.new(source.dtype, shape, last=False)
        builder.launch(name, (source.dtype,), made, source, count=made.element_count)
        source = made


def _sum(
    builder: Builder, target: View, source: View, power: int, root: int, divisor: float
) -> None:
    types = (target.dtype, source.dtype)
    count = target.element_count
    builder.launch("SumRows", types, target, source, power, root, divisor, count=count)


def _merged(view: View, axes: Sequence[int]) -> tuple[int, int] | None:
    """The size and the stride of axes that lie one in the other, the last the fastest."""
    stride = 0
    inside = 1
    for axis in reversed(axes):
        if view.shape[axis] == 1:
            continue
        if inside == 1:
            stride = view.strides[axis]
        elif view.element_count and view.strides[axis] != stride * inside:
            return None
        inside *= view.shape[axis]
    return math.prod(view.shape[axis] for axis in axes), stride
