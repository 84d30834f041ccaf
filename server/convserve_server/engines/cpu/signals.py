"""Convolution and correlation of signals: by FFT, by NumPy's direct sum, or as a layer.

A signal operation is a part of the full convolution of `a` with `u`, where `u` is `v`, or for
correlation `v` reversed and conjugated. `start` is where that part begins, per axis.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import scipy.fft
import scipy.signal
from attrs import frozen
from convserve import layers
from convserve.layers.fields import Ints
from convserve.operations import Convolve, Correlate
from convserve.tensors import Array, TensorSpec, dtype_of

from convserve_server.engines.cpu import columns
from convserve_server.engines.cpu.advice import signal_dtype
from convserve_server.engines.cpu.overlap import overlap_save
from convserve_server.engines.cpu.team import Team
from convserve_server.engines.cpu.windows import Geometry, pairs
from convserve_server.engines.integers import exact_type
from convserve_server.planning.program import OperationStep, Step

Index: TypeAlias = tuple[slice, ...]


@frozen(eq=False)
class Signals:
    """Two signals of one type, the longer one first, and the wanted part of their convolution."""

    long: Array
    short: Array
    start: Ints


def read_signals(step: OperationStep, a: Array, v: Array) -> Signals:
    """The operands of a signal operation, as its convolution needs them."""
    operation = step.operation
    assert isinstance(operation, Convolve | Correlate)
    compute = dtype_of(signal_dtype(step.output.dtype))
    dtype = dtype_of(step.output.dtype)
    if isinstance(operation, Correlate):
        v = np.conj(np.flip(v)) if v.dtype.kind == "c" else np.flip(v)
    starts = {
        "full": tuple(0 for _ in a.shape),
        "same": tuple((m - 1) // 2 for m in v.shape),
        "valid": tuple(min(n, m) - 1 for n, m in zip(a.shape, v.shape, strict=True)),
    }
    a, v = (x.astype(dtype, copy=False).astype(compute, copy=False) for x in (a, v))
    return Signals(*((a, v) if a.size >= v.size else (v, a)), starts[operation.mode])


def read_layer(step: Step, x: Array, weight: Array) -> Signals:
    """One sample (*L) of a one-channel convolution layer and its kernel, as a convolution."""
    layer = step.layer
    assert isinstance(layer, layers.Conv)
    compute = dtype_of(signal_dtype(step.output.dtype))
    pads = zip(layer.kernel_size, pairs(layer.padding), strict=True)
    start = tuple(size - 1 - low for size, (low, _) in pads)
    x, weight = (array.astype(compute, copy=False) for array in (x, weight))
    return Signals(x, np.flip(weight), start)


def survives_fft(signals: Signals) -> bool:
    """Whether all values are finite and no intermediate of an FFT can overflow.

    An FFT spreads an infinity or a NaN over the whole result. With NaN the comparison is false.
    Integers are never convolved by FFT unless the caller asks.
    """
    if signals.long.dtype.kind not in "fc":
        return False
    long, short = signals.long, signals.short
    largest = _peak(long) * _peak(short) * long.size * (long.size + short.size)
    return largest < float(np.finfo(long.dtype).max)


def convolve_by_fft(
    signals: Signals, algorithm: str, team: Team, out: Array, added: complex = 0
) -> None:
    """Fill `out` by an FFT, plus the number `added`. Integers go through float64, rounded."""
    long, short = signals.long, signals.short
    exact = long.dtype.kind in "iu"
    if exact:
        long, short = long.astype(np.float64), short.astype(np.float64)
    if algorithm == "overlap_save":
        source, place = _parts((long.size + short.size - 1,), signals.start, out.shape)
        part = np.empty(out[place].shape, long.dtype)
        overlap_save(long, short, source[0].start, part, team)
    else:
        with scipy.fft.set_workers(team.threads):
            full = scipy.signal.fftconvolve(long, short)
        source, place = _parts(full.shape, signals.start, out.shape)
        part = full[source]
    _put(np.around(part).astype(np.int64) if exact else part, place, out, added)


def convolve_directly(signals: Signals, out: Array) -> None:
    """Fill `out` (one axis) by NumPy's direct sum; integers wrap around."""
    full = np.convolve(signals.long, signals.short)
    source, place = _parts(full.shape, signals.start, out.shape)
    _put(full[source], place, out)


def convolve_by_columns(signals: Signals, out: Array, team: Team) -> None:
    """Fill `out` (two or three axes) by products with columns; integers wrap around."""
    step, x, weight = as_layer(signals, TensorSpec("output", out.dtype.name, out.shape))
    layer = step.layer
    assert isinstance(layer, layers.Conv)
    compute, target = out.dtype, out[None, None]
    exact = out.dtype.kind in "iub"
    if exact:
        x, weight = (array.astype(np.int64) for array in (x, weight))
        total = np.abs(weight.astype(np.float64)).sum()
        compute = np.dtype(exact_type(max(_peak(x) * float(total), 1 << 24)))
        target = np.empty(step.output.shape, np.int64)
    columns.conv(x, weight, None, target, Geometry.of(layer), compute, team)
    if exact:
        out[...] = target[0, 0]


def as_layer(signals: Signals, output: TensorSpec) -> tuple[Step, Array, Array]:
    """The operation as a convolution layer of one channel, with its input and weight."""
    x, kernel = signals.long, np.flip(signals.short)
    pads = []
    for axis, (m, start, count) in enumerate(
        zip(kernel.shape, signals.start, output.shape, strict=True)
    ):
        low = m - 1 - start
        high = count + m - 1 - low - x.shape[axis]
        inside = slice(max(0, -low), x.shape[axis] - max(0, -high))
        x = x[(slice(None),) * axis + (inside,)]
        pads.append((max(0, low), max(0, high)))
    ones = (1,) * x.ndim
    layer = layers.Conv(
        1, kernel.shape, ones, tuple(pads), ones, 1, False, name="output", inputs=("signal",)
    )
    x, kernel = x[None, None], kernel[None, None]
    step = Step(
        layer,
        (TensorSpec("signal", x.dtype.name, x.shape),),
        (TensorSpec("output.weight", kernel.dtype.name, kernel.shape),),
        TensorSpec("output", output.dtype, (1, 1, *output.shape)),
    )
    return step, x, kernel


def _parts(full: Ints, start: Ints, wanted: Ints) -> tuple[Index, Index]:
    """What of the full convolution is wanted from `start` on, and where that goes."""
    source, place = [], []
    for first, size, count in zip(start, full, wanted, strict=True):
        low, high = max(0, first), min(size, first + count)
        source.append(slice(low, max(low, high)))
        place.append(slice(low - first, max(low, high) - first))
    return tuple(source), tuple(place)


def _put(part: Array, place: Index, out: Array, added: complex = 0) -> None:
    """Fill `out`: the part at its place, zeros around it, plus `added`."""
    if part.size < out.size:
        out[...] = added
    if added:
        part += part.dtype.type(added)
    with np.errstate(over="ignore"):  # float16 overflows to infinity: that is its rounding
        out[place] = part


def _peak(array: Array) -> float:
    """The largest magnitude of a number or of its real or imaginary part; NaN if one is there."""
    if array.dtype.kind == "c":
        return float(np.maximum(_peak(array.real), _peak(array.imag)))
    return float(np.maximum(-float(array.min()), float(array.max())))
