"""Convolution and correlation of signals: by Fourier transforms, or by the direct sum.

A signal operation is a part of the full convolution of two arrays: `a`, and `v` or, for a
correlation, `v` reversed and conjugated.
"""

from __future__ import annotations

import math

from attrs import evolve, frozen
from convserve.operations import Convolve, Correlate, Operation
from convserve.tensors import Shape, dtype_of

from convserve_server.engines.cuda.kernels import MAX_RANK
from convserve_server.engines.cuda.lowering.blocks import Bank, Cut, Span, best_cut, costs
from convserve_server.engines.cuda.lowering.builder import Builder, OperationEmitter
from convserve_server.engines.cuda.lowering.direct import conjugate
from convserve_server.engines.cuda.lowering.fft import (
    TRANSFORMED,
    check_finite,
    convolve,
    describe,
    find_peaks,
    flipped,
    transform_kernels,
)
from convserve_server.engines.cuda.lowering.rows import part_count, sum_type
from convserve_server.engines.cuda.lowering.selection import rates_of
from convserve_server.engines.cuda.recipe import Choice
from convserve_server.engines.cuda.views import View
from convserve_server.planning.program import OperationStep

_NARROW = ("int8", "int16", "uint8", "uint16")  # summed in int32, and cut
_SIGNED = {"uint32": "int32", "uint64": "int64"}  # of the same sums modulo 2^32 and 2^64


@frozen
class _Signals:
    """Two signals of one type, the longer one first, and what is wanted of their convolution."""

    long: View
    short: View
    span: Span

    @property
    def bank(self) -> Bank:
        """For transforms: of halves in float32, of integers in float64."""
        dtype = self.long.dtype
        is_whole = dtype_of(dtype).kind in "iu"
        return Bank(self.span, "float64" if is_whole else sum_type(dtype))

    @property
    def direct_seconds(self) -> float:
        """The time of the direct sum, by assumed rates."""
        sums = 2 * math.prod(self.span.wanted) * self.short.element_count
        rate = rates_of("signal_sum").flop_rate(self.long.dtype)
        return sums / rate + costs().launch_seconds


def _signal(builder: Builder, step: OperationStep) -> None:
    axes = _axes(step)
    if len(axes) > MAX_RANK:  # more than kernels count, and than anybody has
        builder.on_host(step)
        return
    signals = _read(builder, step, axes)
    y = _along(builder.result(step.output, last=False), axes)
    cut, reason = _choose(builder, step, signals)
    builder.choices.append(Choice(reason))
    if cut is None:
        _sum(builder, y, signals)
    else:
        _transform(builder, y, signals, cut, is_asked=_is_asked(step))
    builder.record(step, cut.name if cut else "direct")


def _axes(step: OperationStep) -> tuple[int, ...]:
    """The axes along which a signal has more than one element; one axis at least."""
    a, v = (spec.shape for spec in step.operands)
    sizes = enumerate(zip(a, v, strict=True))
    return tuple(axis for axis, pair in sizes if max(pair) > 1) or (0,)


def _along(view: View, axes: Shape) -> View:
    """The view without its other axes, which are of one element."""
    return evolve(
        view,
        shape=tuple(view.shape[axis] for axis in axes),
        strides=tuple(view.strides[axis] for axis in axes),
    )


def _read(builder: Builder, step: OperationStep, axes: Shape) -> _Signals:
    operation = step.operation
    assert isinstance(operation, Convolve | Correlate)
    a, v = (
        builder.cast(_along(builder.value(spec.name), axes), step.output.dtype)
        for spec in step.operands
    )
    if isinstance(operation, Correlate):
        v = flipped(conjugate(builder, v) if dtype_of(v.dtype).kind == "c" else v)
    starts = {
        "full": tuple(0 for _ in axes),
        "same": tuple((size - 1) // 2 for size in v.shape),
        "valid": tuple(min(sizes) - 1 for sizes in zip(a.shape, v.shape, strict=True)),
    }
    wanted = tuple(step.output.shape[axis] for axis in axes)
    long, short = (a, v) if a.element_count >= v.element_count else (v, a)
    return _Signals(long, short, Span(long.shape, short.shape, starts[operation.mode], wanted))


def _is_asked(step: OperationStep) -> bool:
    """Whether the caller wants a transform, whatever the values are."""
    operation = step.operation
    assert isinstance(operation, Convolve | Correlate)
    return operation.method == "fft" and step.output.dtype != "bool"


def _choose(builder: Builder, step: OperationStep, signals: _Signals) -> tuple[Cut | None, str]:
    """The blocks to transform, or None for the direct sum; and why."""
    operation, dtype = step.operation, step.output.dtype
    assert isinstance(operation, Convolve | Correlate)
    direct = f"the direct sum of {signals.short.element_count} taps in {dtype}"
    if operation.method == "direct":
        return None, f"{direct}: as method='direct' asks"
    is_asked = _is_asked(step)
    if not is_asked and dtype not in TRANSFORMED:
        return None, f"{direct}: it is exact, and a transform is not"
    if not is_asked and not builder.fft:
        return None, f"{direct}: a value is not finite, or too large to transform"
    cut = best_cut(signals.bank)
    if cut is None:
        return None, f"{direct}: a transform would have more than {costs().longest} elements"
    if is_asked:
        return cut, f"{cut.name}, {describe(cut)}: as method='fft' asks"
    if (size := signals.bank.working_bytes(cut)) > builder.plans.workspace_limit_bytes:
        return None, f"{direct}: a transform's blocks would take {size} bytes"
    return _faster(signals, cut, direct)


def _faster(signals: _Signals, cut: Cut, direct: str) -> tuple[Cut | None, str]:
    """Whichever takes less time by assumed rates."""
    summed, transformed = signals.direct_seconds, signals.bank.seconds(cut)
    if summed <= transformed:
        return None, _reason(direct, summed, cut.name, transformed)
    return cut, _reason(f"{cut.name}, {describe(cut)}", transformed, direct, summed)


def _reason(chosen: str, seconds: float, other: str, more: float) -> str:
    return (
        f"{chosen}: about {seconds * 1e6:.3g} us by assumed rates; "
        f"not {other}: {more / seconds:.1f} times as long"
    )


def _transform(builder: Builder, y: View, signals: _Signals, cut: Cut, *, is_asked: bool) -> None:
    bank, short = signals.bank, _one(signals.short)
    if not is_asked:
        peaks = (find_peaks(builder, view) for view in (signals.long, signals.short))
        check_finite(builder, bank, cut, *peaks)
    spectrum = transform_kernels(builder, bank, cut, short)
    convolve(builder, bank, cut, _one(y), _one(signals.long), spectrum)


def _one(view: View) -> View:
    """A signal as the one channel of one image."""
    return view.inserted(0).inserted(0)


def _sum(builder: Builder, y: View, signals: _Signals) -> None:
    """Fill `y`, which is contiguous; integers wrap around, and a bool is whether any is true."""
    read = _SIGNED.get(y.dtype, y.dtype)
    made = {"bool": "int64", **dict.fromkeys(_NARROW, "int32")}.get(y.dtype, read)
    flat = View(y.buffer, read, (y.element_count,), (1,), y.offset)
    target = flat if made == read else builder.new(made, flat.shape)
    long, short = (evolve(view, dtype=read) for view in (signals.long, signals.short))
    taps, start = short.element_count, signals.span.start
    parts = part_count(flat.element_count, taps)
    sums = target if parts == 1 else builder.new(sum_type(made), (parts * flat.element_count,))
    missing = MAX_RANK - len(y.shape)
    shaped = evolve(sums, shape=y.shape, strides=y.strides)
    builder.launch(
        "SignalSum",
        (sums.dtype, read),
        *(_lifted(view) for view in (shaped, long, short)),
        *(flat.element_count, taps, -(-taps // parts), missing, *[0] * missing, *start),
        count=sums.element_count,
    )
    if parts > 1:
        builder.launch(
            "AddParts",
            (made, sums.dtype),
            *(target, sums.sliced(0, 0, flat.element_count), parts, flat.element_count),
            count=flat.element_count,
        )
    if target is not flat:
        builder.copy(flat, target)


def _lifted(view: View) -> View:
    """With axes of size 1 before its own, so that there are as many as kernels count."""
    while len(view.shape) < MAX_RANK:
        view = view.inserted(0)
    return view


TABLE: dict[type[Operation], OperationEmitter] = {Convolve: _signal, Correlate: _signal}
