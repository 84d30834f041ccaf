"""Signals: true convolution and correlation. Flows without I/O."""

from __future__ import annotations

from convserve.operations import Convolve, Correlate
from convserve.tensors import Array

from convserve_client._flows import Flow
from convserve_client._remember import remembered
from convserve_client._run import ArrayLike, as_tensor, run_one, run_options
from convserve_client._session import Session

_convolve = remembered(Convolve)
_correlate = remembered(Correlate)


def convolve(
    session: Session,
    a: ArrayLike,
    v: ArrayLike,
    mode: str = "full",
    method: str = "auto",
    *,
    device: str | None = None,
    precision: str = "strict",
    layout: str = "channels_first",
    batch_invariant: bool = False,
    timeout: float | None = None,
    out: Array | None = None,
) -> Flow[Array]:
    """The true convolution of `a` and `v`, of equal rank, as scipy.signal.convolve has it.

    `mode` is "full", "same" (the size of `a`, centred) or "valid"; `method` "auto", "direct" or
    "fft". Unlike SciPy's, `a` and `v` have at least one axis, and no axis of length 0; anything
    else raises ShapeError. The rest is as for `conv`.
    """
    options = run_options(session, device, precision, layout, batch_invariant)
    operation = _convolve(mode, method)
    tensors = {"a": as_tensor("a", a), "v": as_tensor("v", v)}
    return run_one(session, operation, tensors, options, timeout=timeout, out=out)


def correlate(
    session: Session,
    a: ArrayLike,
    v: ArrayLike,
    mode: str = "full",
    method: str = "auto",
    *,
    device: str | None = None,
    precision: str = "strict",
    layout: str = "channels_first",
    batch_invariant: bool = False,
    timeout: float | None = None,
    out: Array | None = None,
) -> Flow[Array]:
    """The cross-correlation of `a` with the conjugate of `v`, as scipy.signal.correlate has it.

    The arguments, and the difference from SciPy, are those of `convolve`.
    """
    options = run_options(session, device, precision, layout, batch_invariant)
    operation = _correlate(mode, method)
    tensors = {"a": as_tensor("a", a), "v": as_tensor("v", v)}
    return run_one(session, operation, tensors, options, timeout=timeout, out=out)
