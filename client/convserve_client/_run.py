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
from convserve_client._flows import Flow
from convserve_client._results import Out, Outcome, Target
from convserve_client._retries import Effort
from convserve_client._session import Session

INLINE_BYTES = 1 << 20  # of request tensors; larger ones are faster in a stream


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


def as_tensors(values: Mapping[str, ArrayLike] | None) -> dict[str, Array]:
    """The arrays of a dict by name."""
    return {name: as_tensor(name, value) for name, value in (values or {}).items()}


def as_inputs(network: Network, x: Inputs) -> dict[str, Array]:
    """A network's inputs by name; an array alone is the only input."""
    if isinstance(x, Mapping):
        return as_tensors(x)
    if len(network.inputs) > 1:
        raise InvalidArgumentError(
            f"the network has inputs {', '.join(network.inputs)}: give a dict of arrays",
            field="x",
        )
    return {network.inputs[0]: as_tensor("x", x)}


def run_options(
    device: str | None, precision: str, layout: str, batch_invariant: bool
) -> RunOptions:
    """The options as the wire has them: no device is the server's default."""
    return RunOptions(
        device=device or "",
        precision=precision,
        layout=layout,
        batch_invariant=batch_invariant,
    )


def run_work(
    session: Session,
    work: Network | Operation | str,
    tensors: Mapping[str, Array],
    options: RunOptions,
    *,
    timeout: float | None,
    out: Out,
    unbatched: bool = False,
) -> Flow[Any]:
    """Run a network, an operation or the model of an id; record it; deliver the results."""
    request = _calls.Request(work, tensors, options)
    target = Target(out, list(tensors.values()), unbatched)
    outcome = yield from _send(session.begin(timeout), request, target)
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
) -> Flow[Array]:
    """`run_work` for work with one result."""
    result: Array = yield from run_work(
        session, work, tensors, options, timeout=timeout, out=out, unbatched=unbatched
    )
    return result


def _send(effort: Effort, request: _calls.Request, target: Target) -> Flow[Outcome]:
    if request.byte_count <= INLINE_BYTES:
        try:
            return (yield from effort.attempt(partial(_calls.run_inline, request, target)))
        except InlineTooLargeError:
            pass  # the results are too large for one message, which only the plan could tell
    return (yield from effort.attempt(partial(_calls.RunStream, request, target)))
