"""One rpc in progress: its messages, its deadline, and what is counted about it."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

import grpc
from attrs import frozen
from convserve.errors import (
    BY_CODE,
    CallCancelledError,
    ConvserveError,
    DeadlineExceededError,
    InvalidArgumentError,
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
    def is_work(self) -> bool:
        """Whether it is one of convserve's, has an end of its own, and holds up a stop."""
        return self.name in METHODS and not self.is_lasting

    @property
    def is_lasting(self) -> bool:
        """Whether it goes on for as long as its caller likes."""
        return self.name == "Lease"


class Call:
    """One rpc in progress, as its handler sees it, and what is counted and logged about it.

    Iterating it gives the caller's messages. It also stands in for gRPC's context where health and
    reflection expect one. A caller of a stream who neither sends nor reads for `stall_seconds` ends
    it with DeadlineExceededError: it may hold memory that others wait for.

    `deadline` is when it ends at the latest, in the event loop's time.
    """

    def __init__(
        self, rpc: Rpc, context: Any, timeout: asyncio.Timeout, stall_seconds: float
    ) -> None:
        self.rpc = rpc
        self.request_id = secrets.token_hex(8)
        self.started = time.perf_counter()
        self.seconds = 0.0  # from its start to its end, once it has ended
        self._stage_started = self.started
        self.stages: dict[str, float] = {}
        # What was computed: the device, steps by engine and algorithm, and the rows of the batch.
        self.work: list[tuple[str, Mapping[tuple[str, str], int], int]] = []
        self.received_bytes = 0
        self.sent_bytes = 0
        self.stop_error: ConvserveError | None = None
        self._context = context
        self._timeout = timeout
        self.deadline = timeout.when() or math.inf
        self._pauses: dict[str, float] = {}  # what it waits for, and since when
        self._moved_at = 0.0  # when a message last came or went
        self._watch: asyncio.TimerHandle | None = None
        self._stall_seconds = stall_seconds

    @property
    def peer(self) -> str:
        """The caller's address."""
        peer: str = self._context.peer()
        return peer

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

    async def wait_closed(self) -> None:
        """Wait, for as long as it takes, until the caller has ended the stream.

        Raises InvalidArgumentError if another message comes.
        """
        if await self._context.read() is not grpc.aio.EOF:
            raise InvalidArgumentError("one message is all that this stream takes")

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
        self._pauses[what] = loop.time()
        if self._watch is None:  # one timer for all messages: one for each would cost more than it
            self._watch = loop.call_later(self._stall_seconds, self._check_pauses)
        # gRPC keeps the message of an operation whose awaiter is cancelled, for ever: so none is.
        task = asyncio.ensure_future(operation)
        task.add_done_callback(_look_at)
        try:
            return await asyncio.shield(task)
        except grpc.aio.BaseError:  # how gRPC says that there is nobody to read from or write to
            raise CallCancelledError("the caller has gone") from None
        finally:
            del self._pauses[what]
            self._moved_at = loop.time()

    def _check_pauses(self) -> None:
        loop = asyncio.get_running_loop()
        what, since = min(
            self._pauses.items(), key=lambda pause: pause[1], default=("", loop.time())
        )
        end = max(since, self._moved_at) + self._stall_seconds
        if loop.time() < end:
            self._watch = loop.call_at(end, self._check_pauses)
            return
        self.stop(
            DeadlineExceededError(
                f"{what} on the stream for {self._stall_seconds:g} s, the longest pause that this "
                "server allows; send and read without pauses",
                metadata={"stall_seconds": self._stall_seconds},
            )
        )

    def end(self) -> None:
        """Stop the clock, and stop watching for pauses."""
        self.seconds = time.perf_counter() - self.started
        if self._watch is not None:
            self._watch.cancel()

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """End the call with a status, as gRPC's context does."""
        raise BY_CODE[code.value[0]](details or code.value[1])

    async def send_error(self, error: ConvserveError) -> None:
        """Send the error as the call's status. Raises what gRPC uses to leave a handler."""
        status = to_status(error)
        trailers = (("grpc-status-details-bin", status.SerializeToString()), *self._timings())
        # gRPC writes each byte that is not ASCII as three, and bounds the whole.
        text = status.message.encode("ascii", "replace").decode()
        with suppress(grpc.aio.InternalError):  # the caller has gone meanwhile
            await self._context.abort(_STATUS_CODES[status.code], text, trailers)

    def send_timings(self) -> None:
        """Put the seconds of each stage into the trailing metadata of a call that ends well."""
        self._context.set_trailing_metadata(self._timings())

    def _timings(self) -> tuple[tuple[str, str], ...]:
        """The stages as the header Server-Timing of W3C has them, in milliseconds."""
        stages = [f"{name};dur={1e3 * seconds:.3f}" for name, seconds in self.stages.items()]
        return (("server-timing", ", ".join(stages)),) if stages else ()

    def end_stage(self, name: str) -> None:
        """Count the time since the last stage ended, or the call began, to this one."""
        now = time.perf_counter()
        self.add_stage(name, now - self._stage_started)
        self._stage_started = now

    def move_stage(self, source: str, target: str, seconds: float) -> None:
        """Count up to `seconds` of one stage to another, which ran inside of it."""
        seconds = min(seconds, self.stages.get(source, 0.0))
        self.add_stage(source, -seconds)
        self.add_stage(target, seconds)

    def add_stage(self, name: str, seconds: float) -> None:
        """Count time to a stage of the call."""
        self.stages[name] = self.stages.get(name, 0.0) + seconds

    def stop(self, error: ConvserveError) -> None:
        """End the call with this error as soon as it next waits."""
        if not self._timeout.expired():
            self.stop_error = error
            self._timeout.reschedule(0.0)


def _look_at(task: asyncio.Future[Any]) -> None:
    """Take the error of what nobody waits for any more; else asyncio would log it."""
    if not task.cancelled():
        task.exception()
