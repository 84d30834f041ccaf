"""Raw calls to a server, without the client library: messages in, messages or errors out."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import grpc
import numpy as np
from convserve.chunks import Assembler, Chunk
from convserve.codec import network_to_message
from convserve.errors import ConvserveError, from_status
from convserve.layers import Layer
from convserve.networks import Network
from convserve.services import METHODS, arity_of
from convserve.tensors import (
    Array,
    array_over,
    empty,
    spec_from_message,
    spec_of,
    spec_to_message,
    wire_bytes,
)
from convserve.v1 import compute_service_pb2 as pb2
from google.rpc import status_pb2

from tests.chunks import chunks

TIMEOUT_SECONDS = 60


def identity(data: bytes) -> bytes:
    """For calls that send and take bytes as they are."""
    return data


def method(channel: grpc.Channel, name: str, *, raw: bool = False) -> Any:
    """The callable of an rpc; a `raw` one sends bytes."""
    rpc = METHODS[name]
    serialize = identity if raw else rpc.request.SerializeToString
    return arity(channel, rpc.client_streaming, rpc.server_streaming)(
        rpc.path, serialize, rpc.response.FromString
    )


def arity(channel: grpc.Channel, client_streaming: bool, server_streaming: bool) -> Any:
    """The channel's factory of calls that stream so."""
    return getattr(channel, arity_of(client_streaming, server_streaming))


def call(channel: grpc.Channel, name: str, *messages: Any, raw: bool = False) -> list[Any]:
    """Every response of a call. Raises the ConvserveError that its status stands for."""
    rpc = METHODS[name]
    request = iter(messages) if rpc.client_streaming else messages[0]
    try:
        answer = method(channel, name, raw=raw)(request, timeout=TIMEOUT_SECONDS)
        return list(answer) if rpc.server_streaming else [answer]
    except grpc.RpcError as error:
        raise error_of(error) from None


def error_of(error: Any) -> ConvserveError:
    """The error that the details of a status stand for; fails where there are none."""
    details = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(details)
    assert status.code == error.code().value[0]
    return from_status(status)


def header_of(work: Any, tensors: dict[str, Array], **options: Any) -> pb2.RunHeader:
    """A header for a list of layers, a network's message, an operation's, or a model's id."""
    if isinstance(work, list):
        work = network_to_message(Network(work))
    field = {str: "model_id", "Network": "network"}.get(
        str if isinstance(work, str) else type(work).__name__, "operation"
    )
    specs = [spec_to_message(spec_of(name, array)) for name, array in tensors.items()]
    return pb2.RunHeader(**{field: work}, tensors=specs, options=pb2.RunOptions(**options))


def inline(work: Any, tensors: dict[str, Array], **options: Any) -> pb2.RunInlineRequest:
    """A request of RunInline."""
    return pb2.RunInlineRequest(
        header=header_of(work, tensors, **options),
        data=[bytes(wire_bytes(array)) for array in tensors.values()],
    )


def stream(header: pb2.RunHeader, arrays: Iterable[Array]) -> Iterator[pb2.RunRequest]:
    """The messages of Run."""
    yield pb2.RunRequest(header=header)
    for chunk in chunks([wire_bytes(array) for array in arrays]):
        yield pb2.RunRequest(chunk=chunk)


def load_messages(layers: list[Layer], weights: dict[str, Array]) -> Iterator[pb2.LoadModelRequest]:
    """The messages of LoadModel."""
    yield pb2.LoadModelRequest(
        header=pb2.LoadModelHeader(
            network=network_to_message(Network(layers)),
            weights=[spec_to_message(spec_of(name, array)) for name, array in weights.items()],
        )
    )
    for chunk in chunks([wire_bytes(array) for array in weights.values()]):
        yield pb2.LoadModelRequest(chunk=chunk)


def arrays_of(response: pb2.RunInlineResponse) -> dict[str, Array]:
    """The results of RunInline by name."""
    specs = [spec_from_message(output) for output in response.outputs]
    return {
        spec.name: array_over(memoryview(data), spec)
        for spec, data in zip(specs, response.data, strict=True)
    }


def arrays_of_stream(responses: Sequence[pb2.RunResponse]) -> dict[str, Array]:
    """The results of Run by name."""
    first, *rest, last = responses
    assert last.WhichOneof("message") == "summary"
    specs = [spec_from_message(output) for output in first.accepted.outputs]
    arrays = [empty(spec) for spec in specs]
    assembler = Assembler(specs, [wire_bytes(array) for array in arrays])
    for response in rest:
        piece = response.chunk
        assembler.write(Chunk(piece.tensor, piece.offset, piece.data, piece.crc32c))
    assembler.finish()
    return {spec.name: array for spec, array in zip(specs, arrays, strict=True)}


def scrape(address: str | None) -> dict[str, float]:
    """The metrics of a server: `name{labels}` -> value."""
    with urllib.request.urlopen(f"http://{address}/metrics") as response:
        text = response.read().decode()
    return {
        match[1]: float(match[2])
        for match in re.finditer(r"^(convserve_\S+) (\S+)$", text, re.MULTILINE)
    }


def ones(*shape: int, dtype: Any = np.float32) -> Array:
    """An array of ones."""
    return np.ones(shape, dtype)
