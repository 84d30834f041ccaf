"""Running something once: tensors in, the way they travel, results out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np
from convserve.errors import DTypeError, InlineTooLargeError, InvalidArgumentError, error_at
from convserve.networks import Network
from convserve.operations import Operation
from convserve.runs import RunOptions
from convserve.tensors import Array, as_array, dtype_name

from convserve_client import _calls
from convserve_client._checks import check_flag, check_text
from convserve_client._digests import Digests, send_missing
from convserve_client._flows import Flow
from convserve_client._remember import KEPT, remembered
from convserve_client._results import Out, Outcome, Target
from convserve_client._retries import Effort
from convserve_client._session import Session
from convserve_client._shared import SHARED_BYTES, run_shared

INLINE_BYTES = 1 << 20  # of a call's tensors each way; larger ones are faster in a stream


# Anything with `__array__`, the buffer protocol or `__dlpack__`, and lists of numbers. The buffer
# protocol has no type before Python 3.12.
ArrayLike: TypeAlias = Any
Inputs: TypeAlias = ArrayLike | Mapping[str, ArrayLike]


def as_tensor(name: str, value: ArrayLike) -> Array:
    """The array that `value` stands for. Raises InvalidArgumentError and DTypeError."""
    try:
        array = as_array(value)
    except (ValueError, TypeError, RuntimeError, BufferError) as error:
        raise InvalidArgumentError(
            f"{type(value).__name__} does not become an array: {error}", field=name
        ) from error
    _check_dtype(name, array.dtype)
    return array


@lru_cache(KEPT)
def _check_dtype(name: str, dtype: np.dtype[Any]) -> None:
    if dtype.kind == "O":
        raise DTypeError("these are Python objects, not numbers", field=name)
    with error_at(name):
        dtype_name(dtype)


def as_weights(values: Mapping[str, ArrayLike] | None) -> dict[str, Array]:
    """The arrays of a dict by name; None is an empty one."""
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise InvalidArgumentError(
            f"{type(values).__name__} is not a dict of arrays by name", field="weights"
        )
    return _by_name("weights", values)


def as_inputs(names: Sequence[str], x: Inputs) -> dict[str, Array]:
    """The inputs by name of a network that has these; an array alone is the only input."""
    if isinstance(x, Mapping):
        return _by_name("x", x)
    if len(names) > 1:
        raise InvalidArgumentError(
            f"the network has inputs {', '.join(names)}: give a dict of arrays", field="x"
        )
    return {names[0]: as_tensor("x", x)}


def _by_name(field: str, values: Mapping[str, ArrayLike]) -> dict[str, Array]:
    return {check_text(name, field): as_tensor(name, value) for name, value in values.items()}


def run_options(
    session: Session,
    device: str | None,
    precision: str = "strict",
    layout: str = "channels_first",
    batch_invariant: bool = False,
) -> RunOptions:
    """The options as the wire has them: no device is the server's default."""
    return _options(device, precision, layout, batch_invariant, session.priority)


@remembered
def _options(
    device: str | None, precision: str, layout: str, batch_invariant: bool, priority: int
) -> RunOptions:
    return RunOptions(
        device="" if device is None else check_text(device, "device"),
        precision=check_text(precision, "precision"),
        layout=check_text(layout, "layout"),
        batch_invariant=check_flag(batch_invariant, "batch_invariant"),
        priority=priority,
    )


def run_work(
    session: Session,
    work: Network | Operation | str,
    tensors: Mapping[str, Array],
    options: RunOptions,
    *,
    effort: Effort,
    out: Out,
    unbatched: bool = False,
    result_bytes: int = 0,
    digests: Digests = (),
    restore: Callable[[], Flow[None]] | None = None,
) -> Flow[Any]:
    """Run a network, an operation or the model of an id; record it; deliver the results.

    `result_bytes` is a guess, 0 for none: one that is wrong costs time, and nothing else. Tensors
    with a digest are sent only if the server lacks them, or brought there by `restore`.
    """
    target = Target(out, tensors.values(), unbatched)

    def send(digests: Digests) -> Flow[Outcome]:
        request = _calls.Request(work, tensors, options, session.is_traced, digests)
        return _send(session, effort, request, target, result_bytes)

    outcome = yield from send_missing(digests, send, restore)
    if outcome.record is not None:
        session.record(outcome.record)
    return target.deliver(outcome)


def run_one(
    session: Session,
    work: Network | Operation,
    tensors: Mapping[str, Array],
    options: RunOptions,
    *,
    timeout: float | None,
    out: Array | None,
    unbatched: bool = False,
    result_bytes: int = 0,
) -> Flow[Array]:
    """`run_work` as a whole call, for work with one result."""
    result: Array = yield from run_work(
        session,
        work,
        tensors,
        options,
        effort=session.begin(timeout),
        out=out,
        unbatched=unbatched,
        result_bytes=result_bytes,
    )
    return result


def _send(
    session: Session, effort: Effort, request: _calls.Request, target: Target, result_bytes: int
) -> Flow[Outcome]:
    """Choose how the tensors travel: in shared memory, in one message each way, or in streams."""
    size = max(request.byte_count, result_bytes)
    if size <= INLINE_BYTES and (session.leases is None or size < SHARED_BYTES):
        try:
            return (yield from effort.attempt(partial(_calls.RunInline, request, target)))
        except InlineTooLargeError:
            pass  # the results are too large for one message, which only the plan could tell
    if session.leases is not None:
        outcome = yield from run_shared(session.leases, effort, request, target, result_bytes)
        if outcome is not None:
            return outcome
    return (yield from effort.attempt(partial(_calls.RunStream, request, target)))
