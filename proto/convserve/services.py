"""The methods of convserve's services, read off the descriptors.

Client calls and server handlers are both made from this one table; there are no generated stubs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from attrs import frozen
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from convserve.chunks import Chunk, read_chunk
from convserve.inline import parse_inline, parse_inline_response
from convserve.v1 import compute_service_pb2, planning_service_pb2

Outgoing: TypeAlias = Message | bytes  # bytes: a message that is serialised already


@frozen
class Method:
    """One rpc: its path on the wire and its messages."""

    service: str
    name: str
    path: str
    request: type[Message]
    response: type[Message]
    client_streaming: bool
    server_streaming: bool

    @property
    def arity(self) -> str:
        """How gRPC calls methods that stream so."""
        return arity_of(self.client_streaming, self.server_streaming)


def arity_of(client_streaming: bool, server_streaming: bool) -> str:
    """`unary_unary`, `unary_stream`, `stream_unary` or `stream_stream`."""
    request = "stream" if client_streaming else "unary"
    response = "stream" if server_streaming else "unary"
    return f"{request}_{response}"


def _method(service: ServiceDescriptor, method: MethodDescriptor) -> Method:
    return Method(
        service=service.full_name,
        name=method.name,
        path=f"/{service.full_name}/{method.name}",
        request=GetMessageClass(method.input_type),
        response=GetMessageClass(method.output_type),
        client_streaming=method.client_streaming,
        server_streaming=method.server_streaming,
    )


_FILES = (planning_service_pb2.DESCRIPTOR, compute_service_pb2.DESCRIPTOR)

# rpc name -> method. Names are unique across services.
METHODS: dict[str, Method] = {
    method.name: _method(service, method)
    for file in _FILES
    for service in file.services_by_name.values()
    for method in service.methods
}
SERVICES: tuple[str, ...] = tuple(sorted({method.service for method in METHODS.values()}))


# Messages that hold whole tensors, and what reads them without a copy.
_INLINE: dict[str, Callable[[bytes], Any]] = {
    "RunInlineRequest": parse_inline,
    "RunInlineResponse": parse_inline_response,
}


def serialize(message: Outgoing) -> bytes:
    """The message's bytes."""
    return message if isinstance(message, bytes) else message.SerializeToString()


def parser(message: type[Message]) -> Callable[[bytes], Any]:
    """What reads messages of a type. One that holds a chunk of a tensor is read as a Chunk.

    RunInline's are read as those of `_INLINE`. The function raises DecodeError (of
    google.protobuf.message) for bytes that are no such message.
    """
    if message.DESCRIPTOR.name in _INLINE:
        return _INLINE[message.DESCRIPTOR.name]
    if "chunk" not in message.DESCRIPTOR.fields_by_name:
        return message.FromString

    def parse(data: bytes) -> Any:
        chunk = read_chunk(data)
        if chunk is not None:
            return chunk
        parsed: Any = message.FromString(data)
        if parsed.WhichOneof("message") != "chunk":
            return parsed
        given = parsed.chunk
        return Chunk(given.tensor, given.offset, given.data, given.crc32c)

    return parse
