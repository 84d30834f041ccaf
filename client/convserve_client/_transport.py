"""gRPC: the only module that knows it. Two drivers carry out the commands of flows.

`Transport` blocks and `AsyncTransport` awaits; they differ in nothing else. An error of gRPC leaves
here as a ConvserveError with the gRPC error as its cause.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, TypeVar

import grpc
import grpc.aio
from attrs import frozen
from convserve.chunks import keep_buffers
from convserve.errors import (
    BY_CODE,
    CallCancelledError,
    ConvserveError,
    DeadlineExceededError,
    FailedPreconditionError,
    UnreachableError,
    from_status,
)
from convserve.services import METHODS, Method, parser, serialize
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, status_pb2

from convserve_client._config import TLS, read_pem
from convserve_client._flows import Exclusive, Flow, Pause, Send

T = TypeVar("T")

MAX_RECEIVE_BYTES = 64 << 20  # plans of deep networks with their explanations are the largest
CONNECT_MILLISECONDS = 3000
DETAILS_KEY = "grpc-status-details-bin"


@frozen
class Endpoint:
    """A server's address, and what to show it."""

    address: str
    tls: TLS | None = None
    token: str | None = None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The headers of every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    @property
    def options(self) -> list[tuple[str, Any]]:
        """The channel's options."""
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
            ("grpc.max_send_message_length", -1),
            # An address that does not answer is given up after this, not after 20 seconds.
            ("grpc.min_reconnect_backoff_ms", CONNECT_MILLISECONDS),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2000),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            # Otherwise variables of the environment would send even local calls to a proxy.
            ("grpc.enable_http_proxy", 0),
        ]
        if self.address.startswith("unix:"):
            options.append(("grpc.default_authority", "localhost"))
        return options

    def credentials(self) -> grpc.ChannelCredentials | None:
        """The channel's credentials; None without TLS. Reads the files."""
        if self.tls is None:
            return None
        return grpc.ssl_channel_credentials(
            read_pem(self.tls.ca), read_pem(self.tls.key), read_pem(self.tls.certificate)
        )


class Transport:
    """A channel to one server for blocking calls. Safe for use by many threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        credentials = endpoint.credentials()
        self._channel = (
            grpc.secure_channel(endpoint.address, credentials, endpoint.options)
            if credentials
            else grpc.insecure_channel(endpoint.address, endpoint.options)
        )
        self._rpcs = _rpcs(self._channel)
        self._closed = False

    def drive(self, flow: Flow[T]) -> T:
        """Carry out a flow's commands until it returns."""
        try:
            command = next(flow)
            while True:
                try:
                    answer = self._perform(command)
                except ConvserveError as error:
                    command = flow.throw(error)
                else:
                    command = flow.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        self._closed = True
        self._channel.close()

    def _perform(self, command: Any) -> Any:
        match command:
            case Send():
                return self._send(command)
            case Pause():
                return time.sleep(command.seconds)
            case Exclusive():
                if not command.lock.acquire(timeout=command.timeout):
                    raise _waited(command)
                try:
                    return self.drive(command.flow)
                finally:
                    command.lock.release()

    def _send(self, command: Send) -> Any:
        _check_open(self._closed)
        exchange, method = command.exchange, command.exchange.method
        requests = exchange.requests()
        responses: Any = None
        try:
            responses = self._rpcs[method.name](
                requests if method.client_streaming else next(requests),
                timeout=command.timeout,
                metadata=self._endpoint.metadata,
            )
            for response in responses if method.server_streaming else (responses,):
                exchange.receive(response)
        except grpc.RpcError as error:
            raise _error_of(error, self._endpoint.address, command.timeout) from error
        except ValueError as error:  # how gRPC says that another thread has closed the channel
            _check_open(self._closed, error)
            raise
        finally:
            if method.server_streaming and responses is not None:
                responses.cancel()  # does nothing to a call that has ended
        return exchange.result()


class AsyncTransport:
    """A channel to one server for awaiting calls, of one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        credentials = endpoint.credentials()
        self._channel = (
            grpc.aio.secure_channel(endpoint.address, credentials, endpoint.options)
            if credentials
            else grpc.aio.insecure_channel(endpoint.address, endpoint.options)
        )
        self._rpcs = _rpcs(self._channel)
        self._closed = False

    async def drive(self, flow: Flow[T]) -> T:
        """Carry out a flow's commands until it returns."""
        try:
            command = next(flow)
            while True:
                try:
                    answer = await self._perform(command)
                except ConvserveError as error:
                    command = flow.throw(error)
                else:
                    command = flow.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        self._closed = True
        await self._channel.close()

    async def _perform(self, command: Any) -> Any:
        match command:
            case Send():
                return await self._send(command)
            case Pause():
                return await asyncio.sleep(command.seconds)
            case Exclusive():
                try:
                    async with asyncio.timeout(command.timeout):
                        await command.lock.acquire()
                except TimeoutError:
                    raise _waited(command) from None
                try:
                    return await self.drive(command.flow)
                finally:
                    command.lock.release()

    async def _send(self, command: Send) -> Any:
        _check_open(self._closed)
        exchange, method = command.exchange, command.exchange.method
        requests = exchange.requests()
        call = self._rpcs[method.name](
            requests if method.client_streaming else next(requests),
            timeout=command.timeout,
            metadata=self._endpoint.metadata,
        )
        try:
            if method.server_streaming:
                async for response in call:
                    exchange.receive(response)
            else:
                exchange.receive(await call)
        except grpc.RpcError as error:
            raise _error_of(error, self._endpoint.address, command.timeout) from error
        except asyncio.CancelledError:
            _check_open(self._closed)  # a closed channel cancels its calls, and nobody else did
            raise
        finally:
            call.cancel()  # does nothing to a call that has ended
        return exchange.result()


def _rpcs(channel: Any) -> dict[str, Any]:
    """What calls each method, by its name; blocking or awaiting as the channel is."""
    keep_buffers()
    return {name: _rpc(channel, method) for name, method in METHODS.items()}


def _rpc(channel: Any, method: Method) -> Any:
    request = "stream" if method.client_streaming else "unary"
    response = "stream" if method.server_streaming else "unary"
    return getattr(channel, f"{request}_{response}")(
        method.path,
        request_serializer=serialize,
        response_deserializer=parser(method.response),
    )


def _check_open(closed: bool, cause: Exception | None = None) -> None:
    if closed:
        raise FailedPreconditionError("this client is closed: connect again") from cause


def _waited(command: Exclusive) -> DeadlineExceededError:
    return DeadlineExceededError(
        f"other calls kept this one waiting for the {command.timeout:.3g} seconds that were left",
        field="timeout",
        metadata={"timeout_seconds": command.timeout},
    )


def _error_of(error: Any, address: str, timeout: float) -> ConvserveError:
    """The exception of the tree that an error of gRPC stands for."""
    status = _status_of(error.trailing_metadata() or ())
    if status is not None:
        return from_status(status)
    code, details = error.code().value[0], (error.details() or "")[:300]
    if code == code_pb2.UNAVAILABLE:
        return UnreachableError(
            f"no server answers at {address}: is convserve-server running? ({details})",
            metadata={"address": address},
        )
    if code == code_pb2.DEADLINE_EXCEEDED:
        return DeadlineExceededError(
            f"the server did not answer within the {timeout:.3g} seconds that were left",
            field="timeout",
            metadata={"timeout_seconds": timeout},
        )
    if code == code_pb2.CANCELLED:
        return CallCancelledError(f"the call was cancelled ({details})")
    return BY_CODE.get(code, ConvserveError)(details or f"gRPC status {error.code().name}")


def _status_of(metadata: Iterable[tuple[str, Any]]) -> status_pb2.Status | None:
    for key, value in metadata:
        if key == DETAILS_KEY:
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None
