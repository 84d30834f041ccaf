"""Running something once: tensors in, the way they travel, results out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeAlias

from convserve.errors import DTypeError, InlineTooLargeError, InvalidArgumentError, error_at
from convserve.networks import Network
from convserve.operations import Operation
from convserve.plans import RunOptions
from convserve.tensors import Array, as_array, dtype_name

from convserve_client import _calls
from convserve_client._checks import check_flag, check_text
from convserve_client._flows import Flow
from convserve_client._results import Out, Outcome, Target
from convserve_client._retries import Effort
from convserve_client._session import Session

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
    if array.dtype == object:
        raise DTypeError("these are Python objects, not numbers", field=name)
    with error_at(name):
        dtype_name(array.dtype)
    return array


def as_weights(values: Mapping[str, ArrayLike] | None) -> dict[str, Array]:
    """The arrays of a dict by name; None is an empty one."""
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise InvalidArgumentError(
            f"{type(values).__name__} is not a dict of arrays by name", field="weights"
        )
    return _by_name("weights", values)


def as_inputs(network: Network, x: Inputs) -> dict[str, Array]:
    """A network's inputs by name; an array alone is the only input."""
    if isinstance(x, Mapping):
        return _by_name("x", x)
    if len(network.inputs) > 1:
        raise InvalidArgumentError(
            f"the network has inputs {', '.join(network.inputs)}: give a dict of arrays",
            field="x",
        )
    return {network.inputs[0]: as_tensor("x", x)}


def _by_name(field: str, values: Mapping[str, ArrayLike]) -> dict[str, Array]:
    return {check_text(name, field): as_tensor(name, value) for name, value in values.items()}


def run_options(
    device: str | None,
    precision: str = "strict",
    layout: str = "channels_first",
    batch_invariant: bool = False,
) -> RunOptions:
    """The options as the wire has them: no device is the server's default."""
    return RunOptions(
        device="" if device is None else check_text(device, "device"),
        precision=check_text(precision, "precision"),
        layout=check_text(layout, "layout"),
        batch_invariant=check_flag(batch_invariant, "batch_invariant"),
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
) -> Flow[Any]:
    """Run a network, an operation or the model of an id; record it; deliver the results.

    `result_bytes` is a guess, 0 for none: one that is wrong costs time, and nothing else.
    """
    request = _calls.Request(work, tensors, options)
    target = Target(out, list(tensors.values()), unbatched)
    fits = max(request.byte_count, result_bytes) <= INLINE_BYTES
    outcome = yield from _send(effort, request, target, fits)
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
    effort: Effort, request: _calls.Request, target: Target, fits_inline: bool
) -> Flow[Outcome]:
    if fits_inline:
        try:
            return (yield from effort.attempt(partial(_calls.run_inline, request, target)))
        except InlineTooLargeError:
            pass  # the results are too large for one message, which only the plan could tell
    return (yield from effort.attempt(partial(_calls.RunStream, request, target)))
