"""One rpc in progress: its messages, its deadline, and what is counted about it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
from attrs import frozen
from convserve.errors import (
    BY_CODE,
    CallCancelledError,
    ConvserveError,
    DeadlineExceededError,
    MalformedRequestError,
    TooLargeError,
    to_status,
)
from convserve.services import METHODS
from google.protobuf.message import DecodeError

from convserve_server.services.bounds import MAX_MESSAGE_BYTES, MAX_REQUEST_BYTES

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
    reflection expect one. A caller of a stream who neither sends nor reads for `stall_seconds` ends
    it with DeadlineExceededError: it may hold memory that others wait for.
    """

    def __init__(
        self, rpc: Rpc, context: Any, deadline: asyncio.Timeout, stall_seconds: float
    ) -> None:
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
        self._pause: tuple[str, float] | None = None  # what it waits for, and until when
        self._watch: asyncio.TimerHandle | None = None
        self._stall_seconds = stall_seconds

    def parse(self, data: bytes) -> Any:
        """The message of these bytes. Raises TooLargeError, and MalformedRequestError."""
        if not self.received_bytes and len(data) > MAX_REQUEST_BYTES:
            raise TooLargeError(
                f"the request takes {len(data)} bytes, and what opens a call may take "
                f"{MAX_REQUEST_BYTES}; stream tensors by Run, and split large networks",
                metadata={"value": len(data), "limit": MAX_REQUEST_BYTES},
            )
        self.received_bytes += len(data)
        try:
            return self.rpc.handler.request_deserializer(data)
        except DecodeError:
            raise MalformedRequestError(
                f"the {len(data)} bytes are not the message that {self.rpc.name} takes",
                metadata={"received_bytes": len(data)},
            ) from None

    async def read(self) -> Any:
        """The caller's next message; None after the last one."""
        data = await self._patiently("nothing came", self._context.read())
        return None if data is grpc.aio.EOF else self.parse(data)

    def __aiter__(self) -> Call:
        return self

    async def __anext__(self) -> Any:
        message = await self.read()
        if message is None:
            raise StopAsyncIteration
        return message

    def serialize(self, message: Any) -> bytes:
        """The message as bytes that are going to be sent. Raises TooLargeError."""
        data: bytes = self.rpc.handler.response_serializer(message)
        if len(data) > MAX_MESSAGE_BYTES:
            raise TooLargeError(
                f"the answer takes {len(data)} bytes, and one message may take "
                f"{MAX_MESSAGE_BYTES}; leave explanations out, or ask for a smaller part",
                metadata={"value": len(data), "limit": MAX_MESSAGE_BYTES},
            )
        self.sent_bytes += len(data)
        return data

    async def write(self, message: Any) -> None:
        """Send one message of a stream. Waits while the caller does not read."""
        data = self.serialize(message)
        await self._patiently("nothing was read", self._context.write(data))

    async def _patiently(self, what: str, operation: Awaitable[Any]) -> Any:
        """Wait for the caller, but not for longer than a pause may last."""
        loop = asyncio.get_running_loop()
        self._pause = (what, loop.time() + self._stall_seconds)
        if self._watch is None:  # one timer for all messages: one for each would cost more than it
            self._watch = loop.call_later(self._stall_seconds, self._check_pause)
        try:
            return await operation
        except grpc.aio.BaseError:  # how gRPC says that there is nobody to read from or write to
            raise CallCancelledError("the caller has gone") from None
        finally:
            self._pause = None

    def _check_pause(self) -> None:
        loop = asyncio.get_running_loop()
        what, end = self._pause or ("", loop.time() + self._stall_seconds)
        if loop.time() < end:
            self._watch = loop.call_at(end, self._check_pause)
            return
        self.stop(
            DeadlineExceededError(
                f"{what} on the stream for {self._stall_seconds:g} s, the longest pause that this "
                "server allows; send and read without pauses",
                metadata={"stall_seconds": self._stall_seconds},
            )
        )

    def close(self) -> None:
        """Stop watching for pauses."""
        if self._watch is not None:
            self._watch.cancel()

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
