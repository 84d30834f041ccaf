"""Parts of headers: parsed and checked, before anything is made of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from typing import ParamSpec, TypeVar

from convserve.codec import network_from_message
from convserve.errors import InvalidArgumentError, MalformedRequestError, ShapeError, error_at
from convserve.networks import Network
from convserve.tensors import TensorSpec, spec_from_message
from convserve.v1 import layer_pb2, tensor_pb2
from google.protobuf.message import DecodeError, Message

from convserve_server.services.bounds import MAX_INPUTS, MAX_TENSORS, check_length, check_network

# What is longer is read in a thread, for other calls to go on meanwhile: 2 ms per KiB in the loop.
READ_INLINE_BYTES = 2 << 10

# A layer's name, a dot, and a role such as `running_mean`.
TENSOR_NAME_PATTERN = re.compile(r"[A-Za-z0-9_./-]{1,160}")

M = TypeVar("M", bound=Message)
P = ParamSpec("P")
T = TypeVar("T")


def parse_part(kind: type[M], data: bytes, field: str) -> M:
    """The message of a field that is kept as bytes. Raises MalformedRequestError with the field."""
    try:
        return kind.FromString(data)
    except DecodeError:
        raise MalformedRequestError(
            f"the {len(data)} bytes are no {kind.DESCRIPTOR.name}",
            field=field,
            metadata={"received_bytes": len(data)},
        ) from None


async def read_aside(size: int, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`read(...)` of a message of `size` bytes, in a thread if it would hold the loop up."""
    if size > READ_INLINE_BYTES:
        return await asyncio.to_thread(read, *args, **kwargs)
    return read(*args, **kwargs)


def read_network(message: layer_pb2.Network) -> Network:
    """The checked network of a message. Raises with field paths such as `layers[3].conv.groups`."""
    check_network(message)
    return network_from_message(message)


def read_inputs(messages: Sequence[tensor_pb2.TensorSpec]) -> tuple[TensorSpec, ...]:
    """The checked specs, in the field `inputs`, of what is only planned: sizes may be open."""
    check_length(messages, MAX_INPUTS, "inputs", "inputs")
    specs = []
    for index, message in enumerate(messages):
        with error_at(f"inputs[{index}]"):
            specs.append(spec_from_message(message))
    return tuple(specs)


def read_specs(messages: Sequence[tensor_pb2.TensorSpec], path: str) -> tuple[TensorSpec, ...]:
    """The checked specs of tensors whose values will come. `path` is the list's field."""
    check_length(messages, MAX_TENSORS, "tensors", path)
    specs: dict[str, TensorSpec] = {}
    for index, message in enumerate(messages):
        _check_name(message.name, specs, f"{path}[{index}].name")
        with error_at(f"tensors[{message.name!r}]"):
            spec = spec_from_message(message)
            if spec.is_symbolic:
                raise ShapeError(
                    "size -1 (a batch that is not known yet) can be planned but not run; "
                    "the limit is 0 or more",
                    field="shape[0]",
                    metadata={"value": -1, "limit": 0},
                )
        specs[spec.name] = spec
    return tuple(specs.values())


def _check_name(name: str, taken: Iterable[str], path: str) -> None:
    if not TENSOR_NAME_PATTERN.fullmatch(name):
        raise InvalidArgumentError(
            f"{name[:200]!r} is not a name: use 1 to 160 of A-Z a-z 0-9 _ . / -", field=path
        )
    if name in taken:
        raise InvalidArgumentError(
            f"{name!r} is the name of two tensors; name each once",
            field=path,
            metadata={"value": name},
        )
