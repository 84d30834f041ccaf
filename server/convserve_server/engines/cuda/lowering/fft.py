"""Convolution by Fourier transforms: of signals, and of layers with large kernels.

An infinity or a NaN would spread over a whole block, and so would what overflows: where nobody
asked for a transform, a check says whether the values allow it, and the work is done again without
if they do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from attrs import evolve, frozen
from convserve.tensors import Shape

from convserve_server.engines.cuda.checks import FINITE
from convserve_server.engines.cuda.graphs import BIAS, INPUT, WEIGHT
from convserve_server.engines.cuda.kernels import MAX_RANK
from convserve_server.engines.cuda.kernels.table import COMPLEX, FLOATS
from convserve_server.engines.cuda.lowering.blocks import Bank, Cut, Span, best_cut, costs
from convserve_server.engines.cuda.lowering.builder import Builder, Plans
from convserve_server.engines.cuda.lowering.epilogue import finish
from convserve_server.engines.cuda.lowering.rows import sum_type
from convserve_server.engines.cuda.lowering.selection import Offer, Problem
from convserve_server.engines.cuda.recipe import Check, Transform
from convserve_server.engines.cuda.views import View, collapse, new_view
from convserve_server.planning.kernels import FORWARD

TRANSFORMED = (*FLOATS, *COMPLEX)  # where nobody asked for it: sums of integers must be exact
_FEW = 256  # peaks that are read back
_MANY = 1 << 16  # peaks that are found at once, of more than some times as many elements


@frozen
class Fft:
    """Transforms of blocks of the input and of the kernels. See `Algorithm`."""

    name: str = "fft"

    def refusal(self, problem: Problem) -> str:
        """See `Algorithm`."""
        conv, taps = problem.convolution, math.prod(problem.convolution.weight[2:])
        if conv.direction != FORWARD:
            return "it computes no gradients"
        if conv.dtype not in TRANSFORMED:
            return "sums of integers must be exact"
        if taps < costs().least_taps:
            return f"a kernel of {taps} elements is too small"
        if any(step != 1 for step in (*conv.stride, *conv.dilation)):
            return "it takes every element, and there is a stride or a dilation"
        if best_cut(_bank(problem)) is None:
            return f"a transform would have more than {costs().longest} elements"
        return ""

    def seconds(self, problem: Problem) -> float:
        """See `Algorithm`."""
        has_pass = problem.residual or problem.activation.kind
        passes = 2 * problem.result_bytes if has_pass else 0
        bank, cut = _cut(problem)
        return bank.seconds(cut) + passes / costs().bytes_per_second

    def ask(self, problem: Problem, plans: Plans) -> Offer:
        """See `Algorithm`."""
        bank, cut = _cut(problem)
        size, limit = bank.working_bytes(cut), plans.workspace_limit_bytes
        if size > limit:
            failure = f"its blocks of {size} bytes are above the limit of {limit}"
            return Offer(self.name, failure=failure)
        return Offer(cut.name, size, reason=describe(cut))

    def emit(self, builder: Builder, problem: Problem, tensors: Mapping[str, View]) -> None:
        """See `Algorithm`."""
        bank, cut = _cut(problem)
        x, kernel = tensors[INPUT], flipped(tensors[WEIGHT], first=2)
        with builder.preparation():
            spectrum = transform_kernels(builder, bank, cut, kernel)
            peaks = find_peaks(builder, kernel)
        check_finite(builder, bank, cut, find_peaks(builder, x), peaks)
        convolve(builder, bank, cut, tensors[problem.result], x, spectrum, tensors.get(BIAS))
        finish(builder, evolve(problem, bias=False), tensors)


def convolve(
    builder: Builder,
    bank: Bank,
    cut: Cut,
    y: View,
    x: View,
    spectrum: View,
    bias: View | None = None,
) -> None:
    """Fill `y` (N, K, *wanted) from `x` (N, C, *long) and the `spectrum` of the kernels.

    The `bias` (K), which stays, is added.
    """
    added = _added(builder, bank, bias)
    if not bank.span.is_inside:
        builder.copy(y, added.along(1, y.shape))
    group = _Group(builder, bank, cut, added)
    images, blocks = bank.group(cut)
    for image in range(0, bank.images, images):
        count = min(images, bank.images - image)
        x_part, y_part = (view.sliced(0, image, count) for view in (x, y))
        for block in range(0, cut.count, blocks):
            group.convolve(y_part, x_part, spectrum, block)


def transform_kernels(builder: Builder, bank: Bank, cut: Cut, kernel: View) -> View:
    """The spectrum (K, C / groups, 1, bins) of kernels (K, C / groups, *short)."""
    shape = (*kernel.shape[:2], 1)
    rows = builder.new(bank.dtype, (*shape, cut.length), last=False)
    cut_blocks(builder, bank.span, rows, kernel, 0, 0)
    spectrum = builder.new(bank.spectrum, (*shape, bank.bins(cut.length)), last=False)
    size = max(rows.byte_count, spectrum.byte_count)
    workspace = builder.new("uint8", (size,))
    transform(builder, rows, spectrum, workspace)
    return spectrum


def find_peaks(builder: Builder, view: View) -> View:
    """A few numbers in float64, with the largest magnitude of a view among them."""
    while True:
        (source,) = collapse(view)
        count = source.element_count
        places = min(count, _MANY if count > 16 * _MANY else _FEW)
        peaks = builder.new("float64", (places,))
        builder.launch("Peaks", (source.dtype,), peaks, source, count, count=places)
        if places <= _FEW:
            return peaks
        view = peaks


def check_finite(builder: Builder, bank: Bank, cut: Cut, *peaks: View) -> None:
    """Check that transforms neither spread a value that is not finite, nor make one.

    Unscaled, they make of numbers up to p and q none above p q n^2 times the terms of a sum, and
    of complex ones none above twice as much.
    """
    terms = min(cut.length, math.prod(bank.span.short)) * bank.depth
    limit = 2 * cut.length**2 * terms
    builder.checks.append(Check(FINITE, peaks, bank.dtype, "", limit))


def describe(cut: Cut) -> str:
    """The blocks, for explanations."""
    return f"{cut.count} block{'s' if cut.count > 1 else ''} of {cut.length}"


def flipped(view: View, first: int = 0) -> View:
    """The axes from `first` on in reverse."""
    for axis in range(first, len(view.shape)):
        view = view.sliced(axis, view.shape[axis] - 1, view.shape[axis], -1)
    return view


class _Group:
    """What a group of blocks is made in: the same for all groups, one after the other."""

    def __init__(self, builder: Builder, bank: Bank, cut: Cut, bias: View) -> None:
        self._builder = builder
        self._bias = bias
        self._bank = bank
        self._cut = cut
        images, self._blocks = bank.group(cut)
        rows = images * self._blocks
        most, bins = rows * max(bank.channels, bank.outputs), bank.bins(cut.length)
        self._rows = builder.new(bank.dtype, (most * cut.length,))
        self._spectra = self._products = builder.new(bank.spectrum, (most * bins,))
        if not bank.is_diagonal:
            self._products = builder.new(bank.spectrum, (rows * bank.outputs * bins,))
        size = max(self._rows.byte_count, self._spectra.byte_count)
        self._workspace = builder.new("uint8", (size,))

    def convolve(self, y: View, x: View, spectrum: View, block: int) -> None:
        """The blocks from `block` on, of some images."""
        builder, bank, cut = self._builder, self._bank, self._cut
        rows = self._part(self._rows, x.shape[0], bank.channels)
        cut_blocks(builder, bank.span, rows, x, cut.first + block * cut.step, cut.step)
        spectra = self._part(self._spectra, x.shape[0], bank.channels)
        transform(builder, rows, spectra, self._workspace)
        products = self._part(self._products, x.shape[0], bank.outputs)
        groups = bank.channels // bank.depth
        builder.launch(
            "SpectrumProduct",
            (bank.spectrum,),
            *(products, spectra, spectrum, bank.outputs // groups),
            count=products.element_count,
        )
        results = self._part(self._rows, x.shape[0], bank.outputs)
        transform(builder, products, results, self._workspace, inverse=True)
        self._join(y, results, block)

    def _join(self, y: View, results: View, block: int) -> None:
        span, cut = self._bank.span, self._cut
        images, outputs, blocks, length = results.shape
        first = span.first + block * cut.step
        self._builder.launch(
            "JoinBlocks",
            (y.dtype, results.dtype),
            *(_spatial(y), results, self._bias),
            *(*y.strides[:2], first, cut.step, span.first - cut.first),
            1.0 / length,
            *(*_axes(span.sizes, 1), *_axes(span.start, 0)),
            count=images * outputs * blocks * cut.step,
        )

    def _part(self, buffer: View, images: int, channels: int) -> View:
        length = self._cut.length
        size = length if buffer.buffer == self._rows.buffer else self._bank.bins(length)
        return new_view(buffer.buffer, buffer.dtype, (images, channels, self._blocks, size))


def cut_blocks(builder: Builder, span: Span, rows: View, x: View, first: int, step: int) -> None:
    """Fill `rows` (N, C, blocks, length) with blocks of `x` (N, C, *sizes), `step` apart."""
    builder.launch(
        "CutBlocks",
        (rows.dtype, x.dtype),
        *(rows, _spatial(x)),
        *(*x.strides[:2], first, step, *_axes(span.sizes, 1), *_axes((), 0)),
        count=rows.element_count,
    )


def transform(
    builder: Builder, source: View, target: View, workspace: View, *, inverse: bool = False
) -> None:
    """Transform every row. The library's workspace is taken to be no larger than the data."""
    kind = "c2c" if source.dtype == target.dtype else "c2r" if inverse else "r2c"
    builder.give(Transform(kind, 1, source, target, workspace, inverse))


def _added(builder: Builder, bank: Bank, bias: View | None) -> View:
    """What is added to each of the results: a bias in their type, or zeros."""
    if bias is None:
        return builder.constant(bank.dtype, 0.0, (bank.outputs,))
    with builder.preparation():
        return builder.cast(bias, bank.dtype)


def _bank(problem: Problem) -> Bank:
    conv = problem.convolution
    lows = (low for low, _ in conv.padding)
    start = tuple(size - 1 - low for size, low in zip(conv.weight[2:], lows, strict=True))
    span = Span(conv.input[2:], conv.weight[2:], start, conv.output[2:])
    sizes = (conv.input[0], conv.input[1], conv.weight[0], conv.weight[1])
    return Bank(span, sum_type(conv.dtype), *sizes)


def _cut(problem: Problem) -> tuple[Bank, Cut]:
    bank = _bank(problem)
    cut = best_cut(bank)
    assert cut is not None  # or it was refused
    return bank, cut


def _spatial(view: View) -> View:
    """(N, C, *L) without the first two axes: of the first image and channel."""
    return evolve(view, shape=view.shape[2:], strides=view.strides[2:])


def _axes(values: Shape, other: int) -> Shape:
    """A number for each axis that a kernel may count."""
    return (*values, *[other] * (MAX_RANK - len(values)))
