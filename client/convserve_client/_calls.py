"""The rpcs as exchanges: request messages out, response messages in. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar

import numpy as np
from attrs import frozen
from convserve.chunks import Assembler, Chunk, chunk_messages, part_messages
from convserve.codec import from_message, network_to_message, operation_to_message, to_message
from convserve.errors import ByteCountError, InternalError
from convserve.inline import InlineResponse, inline_request
from convserve.networks import Network
from convserve.operations import Operation
from convserve.runs import RunOptions
from convserve.servers import Device, ModelInfo, ServerInfo
from convserve.services import METHODS, Method, Outgoing
from convserve.tensors import (
    Array,
    Shape,
    TensorSpec,
    array_over,
    dtype_name,
    spec_from_message,
    spec_of,
    spec_to_message,
    wire_bytes,
)
from convserve.v1 import compute_service_pb2 as compute_pb2
from convserve.v1 import planning_service_pb2 as planning_pb2
from google.protobuf.message import DecodeError, Message

from convserve_client._digests import Digests
from convserve_client._flows import Metadata
from convserve_client._records import call_record
from convserve_client._results import Outcome, Target

T = TypeVar("T")

HEADERS = 128  # how many are kept, to be sent or understood again without work


class Ask(Generic[T]):
    """An rpc with one response, which `read` turns into the result."""

    is_traced = False

    def __init__(
        self, method: str, requests: Iterator[Outgoing] | Message, read: Callable[[Any], T]
    ) -> None:
        self.method: Method = METHODS[method]
        self._requests = iter((requests,)) if isinstance(requests, Message) else requests
        self._read = read
        self._results: list[T] = []

    def requests(self) -> Iterator[Outgoing]:
        """The messages to send."""
        return self._requests

    def receive(self, message: Any) -> None:
        """Read the response."""
        self._results.append(self._read(message))

    def trail(self, metadata: Metadata) -> None:
        """Nothing is wanted of it."""

    def result(self) -> T:
        """What was read."""
        return self._results[-1]


@frozen(eq=False)
class Request:
    """What to run, and the tensors to run it on: what Run and RunInline have in common.

    Somebody wants the record of a `traced` call. Tensors with a digest need not be sent.
    """

    work: Network | Operation | str
    tensors: Mapping[str, Array]
    options: RunOptions
    traced: bool = False
    digests: Digests = ()

    @property
    def unsent(self) -> frozenset[int]:
        """The positions of tensors that are only named."""
        return frozenset(each.position for each in self.digests if not each.sent)

    @property
    def byte_count(self) -> int:
        """The bytes of the tensors that are sent."""
        sizes = [array.nbytes for array in self.tensors.values()]
        return sum(sizes) - sum(sizes[position] for position in self.unsent)

    @property
    def header(self) -> bytes:
        """The serialised RunHeader. A string is the id of a resident model."""
        described = tuple((name, a.dtype, a.shape) for name, a in self.tensors.items())
        return _header(self.work, described, self.options, self.digests)

    @property
    def values(self) -> list[memoryview]:
        """The bytes of each tensor; none of one that is not sent."""
        return _values(self.tensors, self.digests)


@lru_cache(HEADERS)
def _header(
    work: Network | Operation | str,
    tensors: tuple[tuple[str, np.dtype[Any], Shape], ...],
    options: RunOptions,
    digests: Digests,
) -> bytes:
    specs = [TensorSpec(name, dtype_name(dtype), shape) for name, dtype, shape in tensors]
    header = compute_pb2.RunHeader(
        tensors=map(spec_to_message, specs), digests=_digest_messages(digests)
    )
    to_message(options, header.options)
    if isinstance(work, str):
        header.model_id = work
    elif isinstance(work, Network):
        header.network.CopyFrom(network_to_message(work))
    else:
        header.operation.CopyFrom(operation_to_message(work))
    return header.SerializeToString()


@lru_cache(HEADERS)
def _output_specs(serialized: bytes) -> tuple[TensorSpec, ...]:
    """The results that `serialized`, the fields `outputs` of a RunInlineResponse, tells of."""
    try:
        message = compute_pb2.RunInlineResponse.FromString(serialized)
    except DecodeError as error:
        raise InternalError("the server described its results in bytes that say nothing") from error
    return tuple(map(spec_from_message, message.outputs))


class _Run:
    """What the exchanges of both rpcs that run something share: its results and its record."""

    def __init__(self, request: Request, target: Target) -> None:
        self.is_traced = request.traced
        self._request = request
        self._target = target
        self._specs: tuple[TensorSpec, ...] = ()
        self._arrays: tuple[Array, ...] = ()
        self._summary: bytes | None = None
        self._trailers: Metadata = ()

    def trail(self, metadata: Metadata) -> None:
        """Keep what the record needs."""
        self._trailers = metadata

    def result(self) -> Outcome:
        """The results. Raises InternalError if the server ended before its summary."""
        if self._summary is None:
            raise InternalError("the server ended its stream before the summary")
        record = call_record(self._summary, self._trailers) if self.is_traced else None
        return Outcome(self._specs, self._arrays, record)

    def _place(self, specs: tuple[TensorSpec, ...]) -> tuple[Array, ...]:
        self._specs, self._arrays = specs, self._target.place(specs)
        return self._arrays


class RunInline(_Run):
    """RunInline: everything in one message each way."""

    method = METHODS["RunInline"]

    def requests(self) -> Iterator[Outgoing]:
        """The one message."""
        yield inline_request(self._request.header, self._request.values)

    def receive(self, message: InlineResponse) -> None:
        """Take the results."""
        self._specs = _output_specs(message.specs)
        self._arrays = self._take(self._specs, message)
        self._summary = message.summary

    def _take(self, specs: tuple[TensorSpec, ...], message: InlineResponse) -> tuple[Array, ...]:
        if len(message.data) != len(specs):
            raise InternalError(f"the server sent {len(message.data)} of {len(specs)} results")
        arrays = self._target.place(specs)
        for spec, array, data in zip(specs, arrays, message.data, strict=True):
            _fill(spec, array, memoryview(data))
        return arrays


class RunStream(_Run):
    """Run: the tensors in chunks, the results in chunks, each written straight into its place."""

    method = METHODS["Run"]

    def __init__(self, request: Request, target: Target) -> None:
        super().__init__(request, target)
        self._assembler: Assembler | None = None

    def requests(self) -> Iterator[Outgoing]:
        """The header, then the chunks, of small tensors first.

        Weights are small as a rule, and with them the server computes what has come of the others.
        """
        header = compute_pb2.RunHeader.FromString(self._request.header)
        yield compute_pb2.RunRequest(header=header)
        for tensor, values in sorted(enumerate(self._request.values), key=lambda one: len(one[1])):
            yield from part_messages(tensor, values, 0, len(values))

    def receive(self, message: compute_pb2.RunResponse | Chunk) -> None:
        """Take `accepted`, a chunk, or the summary."""
        if isinstance(message, Chunk):
            self._receiver().write(message)
        elif message.HasField("accepted") and self._assembler is None:
            specs = tuple(map(spec_from_message, message.accepted.outputs))
            self._assembler = Assembler(specs, map(wire_bytes, self._place(specs)))
        elif message.HasField("summary"):
            self._receiver().finish()
            self._summary = message.summary.SerializeToString()
        else:
            raise InternalError("the server sent `accepted` twice, or nothing that is known")

    def _receiver(self) -> Assembler:
        if self._assembler is None:
            raise InternalError("the server sent results before it accepted the call")
        return self._assembler


def load_model(
    network: Network, weights: Mapping[str, Array], options: RunOptions, digests: Digests = ()
) -> Ask[ModelInfo]:
    """LoadModel: the header, then the weights in chunks, without those that need not be sent."""

    def requests() -> Iterator[Outgoing]:
        header = compute_pb2.LoadModelHeader(
            network=network_to_message(network),
            weights=_spec_messages(weights),
            digests=_digest_messages(digests),
        )
        to_message(options, header.options)
        yield compute_pb2.LoadModelRequest(header=header)
        yield from chunk_messages(_values(weights, digests))

    return Ask("LoadModel", requests(), lambda answer: from_message(answer.model, ModelInfo))


def unload_model(model_id: str) -> Ask[None]:
    """UnloadModel."""
    request = compute_pb2.UnloadModelRequest(model_id=model_id)
    return Ask("UnloadModel", request, lambda _: None)


def list_models(page_token: str) -> Ask[tuple[tuple[ModelInfo, ...], str]]:
    """ListModels: one page, and where the next one begins (empty: nowhere)."""
    return Ask(
        "ListModels",
        compute_pb2.ListModelsRequest(page_token=page_token),
        lambda answer: (
            tuple(from_message(model, ModelInfo) for model in answer.models),
            answer.next_page_token,
        ),
    )


def server_info() -> Ask[ServerInfo]:
    """GetServerInfo."""
    request = compute_pb2.GetServerInfoRequest()
    return Ask("GetServerInfo", request, lambda answer: from_message(answer, ServerInfo))


def list_devices() -> Ask[tuple[Device, ...]]:
    """ListDevices."""
    return Ask(
        "ListDevices",
        planning_pb2.ListDevicesRequest(),
        lambda answer: tuple(from_message(device, Device) for device in answer.devices),
    )


def _spec_messages(tensors: Mapping[str, Array]) -> list[Any]:
    return [spec_to_message(spec_of(name, array)) for name, array in tensors.items()]


def _digest_messages(digests: Digests) -> list[compute_pb2.TensorDigest]:
    return [
        compute_pb2.TensorDigest(tensor=each.position, sha256=each.sha256, sent=each.sent)
        for each in digests
    ]


def _values(tensors: Mapping[str, Array], digests: Digests) -> list[memoryview]:
    unsent = {each.position for each in digests if not each.sent}
    return [
        memoryview(b"") if position in unsent else wire_bytes(array)
        for position, array in enumerate(tensors.values())
    ]


def _fill(spec: TensorSpec, array: Array, data: memoryview) -> None:
    if len(data) != array.nbytes:
        raise ByteCountError(
            f"the server sent {len(data)} bytes where {array.nbytes} were announced",
            field=spec.name,
            metadata={"received_bytes": len(data), "declared_bytes": array.nbytes},
        )
    array[...] = array_over(data, spec).reshape(array.shape)  # which may lack the batch's axis
