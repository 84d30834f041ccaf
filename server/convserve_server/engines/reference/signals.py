"""Convolution and correlation of signals, as scipy.signal defines them."""

from __future__ import annotations

import numpy as np
from convserve.operations import Convolve, Correlate
from convserve.tensors import Array, Shape, TensorSpec, dtype_of

from convserve_server.engines.reference.accumulation import conjugate, widen


def convolve(operation: Convolve, output: TensorSpec, a: Array, v: Array) -> Array:
    """Convolution: the sum over i of a[i] * v[o - i], cut as `mode` says.

    Integers wrap around in the output's dtype, and a bool is whether any product is true.
    """
    dtype = dtype_of(output.dtype)
    a, v = (widen(operand.astype(dtype, copy=False), output) for operand in (a, v))
    full = _full(a, v)
    start = _start(operation.mode, a.shape, v.shape)
    return full[tuple(slice(i, i + n) for i, n in zip(start, output.shape, strict=True))]


def correlate(operation: Correlate, output: TensorSpec, a: Array, v: Array) -> Array:
    """Correlation: the sum over i of a[i + o] * conj(v[i]).

    It is the convolution with v reversed and conjugated.
    """
    reverse = (slice(None, None, -1),) * v.ndim
    return convolve(Convolve(operation.mode), output, a, conjugate(v[reverse]))


def _full(a: Array, v: Array) -> Array:
    """Every overlap. Convolution commutes, so the loop runs over the smaller operand."""
    a, v = (a, v) if a.size >= v.size else (v, a)
    sizes = [n + m - 1 for n, m in zip(a.shape, v.shape, strict=True)]
    full = np.zeros(sizes, a.dtype)
    for tap in np.ndindex(*v.shape):
        full[tuple(slice(t, t + n) for t, n in zip(tap, a.shape, strict=True))] += v[tap] * a
    return full


def _start(mode: str, a: Shape, v: Shape) -> Shape:
    """Where in the full result the wanted part begins."""
    if mode == "full":
        return (0,) * len(a)
    if mode == "same":
        return tuple((m - 1) // 2 for m in v)
    return tuple(min(n, m) - 1 for n, m in zip(a, v, strict=True))
