"""One rpc in progress: its messages, its deadline, and what is counted about it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
from attrs import frozen
from convserve.chunks import CHUNK_BYTES
from convserve.errors import BY_CODE, ConvserveError, MalformedRequestError, to_status
from convserve.services import METHODS
from google.protobuf.message import DecodeError

# What is longer is parsed in a thread. A message of many small fields takes about 25 ms per MiB, a
# chunk only the copy of its data.
PARSE_INLINE_BYTES = 64 << 10
PARSE_CHUNK_INLINE_BYTES = CHUNK_BYTES + (4 << 10)
_STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}


@frozen
class Rpc:
    """One rpc as the guard sees it: its label, and the handler with its (de)serialisers."""

    name: str
    handler: Any  # grpc.RpcMethodHandler: a named tuple that its stubs do not describe

    @property
    def is_ours(self) -> bool:
        """Whether it is one of convserve's services, and not health or reflection."""
        return self.name in METHODS


class Call:
    """One rpc in progress, as its handler sees it, and what is counted and logged about it.

    Iterating it gives the caller's messages. It also stands in for gRPC's context where health and
    reflection expect one.
    """

    def __init__(self, rpc: Rpc, context: Any, deadline: asyncio.Timeout) -> None:
        self.rpc = rpc
        self.request_id = secrets.token_hex(8)
        self.peer: str = context.peer()
        self.started = time.perf_counter()
        self.stages: dict[str, float] = {}
        self.received_bytes = 0
        self.sent_bytes = 0
        self.stop_error: ConvserveError | None = None
        self._context = context
        self._deadline = deadline

    async def parse(self, data: bytes) -> Any:
        """The message of these bytes. Raises MalformedRequestError if they are none."""
        is_first = self.received_bytes == 0
        self.received_bytes += len(data)
        parse = self.rpc.handler.request_deserializer
        try:
            if len(data) <= (PARSE_INLINE_BYTES if is_first else PARSE_CHUNK_INLINE_BYTES):
                return parse(data)
            return await asyncio.to_thread(parse, data)
        except DecodeError:
            raise MalformedRequestError(
                f"the {len(data)} bytes are not the message that {self.rpc.name} takes",
                metadata={"received_bytes": len(data)},
            ) from None

    async def read(self) -> Any:
        """The caller's next message; None after the last one."""
        data = await self._context.read()
        return None if data is grpc.aio.EOF else await self.parse(data)

    def __aiter__(self) -> Call:
        return self

    async def __anext__(self) -> Any:
        message = await self.read()
        if message is None:
            raise StopAsyncIteration
        return message

    def serialize(self, message: Any) -> bytes:
        """The message as bytes that are going to be sent."""
        data: bytes = self.rpc.handler.response_serializer(message)
        self.sent_bytes += len(data)
        return data

    async def write(self, message: Any) -> None:
        """Send one message of a stream. Waits while the caller does not read."""
        await self._context.write(self.serialize(message))

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """End the call with a status, as gRPC's context does."""
        raise BY_CODE[code.value[0]](details or code.value[1])

    async def send_error(self, error: ConvserveError) -> None:
        """Send the error as the call's status. Raises what gRPC uses to leave a handler."""
        status = to_status(error)
        trailers = (("grpc-status-details-bin", status.SerializeToString()),)
        # gRPC writes each byte that is not ASCII as three, and bounds the whole.
        text = status.message.encode("ascii", "replace").decode()
        await self._context.abort(_STATUS_CODES[status.code], text, trailers)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time spent inside to this stage of the call."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add_stage(name, time.perf_counter() - start)

    def add_stage(self, name: str, seconds: float) -> None:
        """Count time to a stage of the call."""
        self.stages[name] = self.stages.get(name, 0.0) + seconds

    def stop(self, error: ConvserveError) -> None:
        """End the call with this error as soon as it next waits."""
        if not self._deadline.expired():
            self.stop_error = error
            self._deadline.reschedule(0.0)
