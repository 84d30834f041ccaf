"""The rpcs as exchanges: request messages out, response messages in. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from attrs import frozen
from convserve.chunks import Assembler, Chunk, chunk_messages
from convserve.codec import from_message, network_to_message, operation_to_message, to_message
from convserve.errors import ByteCountError, InternalError
from convserve.networks import Network
from convserve.operations import Operation
from convserve.plans import CallRecord, Device, ModelInfo, Plan, RunOptions, ServerInfo
from convserve.services import METHODS, Method, Outgoing
from convserve.tensors import (
    Array,
    TensorSpec,
    spec_from_message,
    spec_of,
    spec_to_message,
    wire_bytes,
)
from convserve.v1 import compute_service_pb2 as compute_pb2
from convserve.v1 import planning_service_pb2 as planning_pb2
from google.protobuf.message import Message

from convserve_client._results import Outcome, Target

T = TypeVar("T")


class Ask(Generic[T]):
    """An rpc with one response, which `read` turns into the result."""

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

    def result(self) -> T:
        """What was read."""
        return self._results[-1]


@frozen(eq=False)
class Request:
    """What to run, and the tensors to run it on: what Run and RunInline have in common."""

    work: Network | Operation | str
    tensors: Mapping[str, Array]
    options: RunOptions

    @property
    def byte_count(self) -> int:
        """The bytes of the tensors."""
        return sum(array.nbytes for array in self.tensors.values())

    def header(self) -> compute_pb2.RunHeader:
        """The header. A string is the id of a resident model."""
        header = compute_pb2.RunHeader(tensors=_spec_messages(self.tensors))
        to_message(self.options, header.options)
        if isinstance(self.work, str):
            header.model_id = self.work
        elif isinstance(self.work, Network):
            header.network.CopyFrom(network_to_message(self.work))
        else:
            header.operation.CopyFrom(operation_to_message(self.work))
        return header


class RunStream:
    """Run: the tensors in chunks, the results in chunks, each written straight into its place."""

    method = METHODS["Run"]

    def __init__(self, request: Request, target: Target) -> None:
        self._request = request
        self._target = target
        self._specs: tuple[TensorSpec, ...] = ()
        self._arrays: tuple[Array, ...] = ()
        self._assembler: Assembler | None = None
        self._record: CallRecord | None = None

    def requests(self) -> Iterator[Outgoing]:
        """The header, then the chunks."""
        yield compute_pb2.RunRequest(header=self._request.header())
        yield from chunk_messages([wire_bytes(array) for array in self._request.tensors.values()])

    def receive(self, message: compute_pb2.RunResponse | Chunk) -> None:
        """Take `accepted`, a chunk, or the summary."""
        if isinstance(message, Chunk):
            self._receiver().write(message)
        elif message.HasField("accepted") and self._assembler is None:
            self._specs = tuple(map(spec_from_message, message.accepted.outputs))
            self._arrays = self._target.place(self._specs)
            self._assembler = Assembler(self._specs, map(wire_bytes, self._arrays))
        elif message.HasField("summary"):
            self._receiver().finish()
            self._record = from_message(message.summary, CallRecord)
        else:
            raise InternalError("the server sent `accepted` twice, or nothing that is known")

    def _receiver(self) -> Assembler:
        if self._assembler is None:
            raise InternalError("the server sent results before it accepted the call")
        return self._assembler

    def result(self) -> Outcome:
        """The results. Raises InternalError if the stream ended without its summary."""
        if self._record is None:
            raise InternalError("the server ended its stream before the summary")
        return Outcome(self._specs, self._arrays, self._record)


def run_inline(request: Request, target: Target) -> Ask[Outcome]:
    """RunInline: everything in one message each way."""

    def requests() -> Iterator[Outgoing]:
        data = (bytes(wire_bytes(array)) for array in request.tensors.values())
        yield compute_pb2.RunInlineRequest(header=request.header(), data=data)

    def read(message: compute_pb2.RunInlineResponse) -> Outcome:
        specs = tuple(map(spec_from_message, message.outputs))
        arrays = target.place(specs)
        for spec, array, data in zip(specs, arrays, message.data, strict=True):
            _fill(spec, array, data)
        return Outcome(specs, arrays, from_message(message.summary, CallRecord))

    return Ask("RunInline", requests(), read)


def load_model(
    network: Network, weights: Mapping[str, Array], options: RunOptions
) -> Ask[ModelInfo]:
    """LoadModel: the header, then the weights in chunks."""

    def requests() -> Iterator[Outgoing]:
        header = compute_pb2.LoadModelHeader(
            network=network_to_message(network), weights=_spec_messages(weights)
        )
        to_message(options, header.options)
        yield compute_pb2.LoadModelRequest(header=header)
        yield from chunk_messages([wire_bytes(array) for array in weights.values()])

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


def plan(
    network: Network, inputs: tuple[TensorSpec, ...], options: RunOptions, explain: bool
) -> Ask[Plan]:
    """Plan."""
    request = to_message(options, planning_pb2.PlanRequest(explain=explain))
    request.network.CopyFrom(network_to_message(network))
    request.inputs.extend(map(spec_to_message, inputs))
    return Ask("Plan", request, lambda answer: from_message(answer.plan, Plan))


def _spec_messages(tensors: Mapping[str, Array]) -> list[Any]:
    return [spec_to_message(spec_of(name, array)) for name, array in tensors.items()]


def _fill(spec: TensorSpec, array: Array, data: bytes) -> None:
    buffer = wire_bytes(array)
    if len(data) != len(buffer):
        raise ByteCountError(
            f"the server sent {len(data)} bytes where {len(buffer)} were announced",
            field=spec.name,
            metadata={"received_bytes": len(data), "declared_bytes": len(buffer)},
        )
    buffer[:] = data
