"""gRPC: the only module that knows it. Two drivers carry out the commands of flows.

`Transport` blocks and `AsyncTransport` awaits; they differ in nothing else. An error of gRPC leaves
here as a ConvserveError with the gRPC error as its cause.
"""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from threading import Lock
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
from convserve_client._flows import Borrow, Exclusive, Flow, Metadata, Pause, Send
from convserve_client._forks import IN_FLIGHT, check_owner, check_process
from convserve_client._leasing import lease, lease_async
from convserve_client._memory import SharedMemory

T = TypeVar("T")

MAX_RECEIVE_BYTES = 64 << 20  # plans of deep networks with their explanations are the largest
CONNECT_MILLISECONDS = 3000
KEEPALIVE_MILLISECONDS = 30_000  # a server of convserve ends who pings more than every 10 seconds
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
            # Only while calls are in flight: an idle client costs nothing, and finds a connection
            # that was lost meanwhile in its next call.
            ("grpc.keepalive_time_ms", KEEPALIVE_MILLISECONDS),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 0),
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
    """A channel to one server for blocking calls. Safe for use by many threads.

    The first call opens it. It belongs to the process of that call, and a fork of that process
    cannot use it.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._credentials = endpoint.credentials()
        self._opening = Lock()
        self._channel: _Channel | None = None
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
        channel = self._channel
        if channel is not None and channel.pid == os.getpid():
            channel.channel.close()

    def _perform(self, command: Any) -> Any:
        match command:
            case Send():
                IN_FLIGHT.add(id(command))
                try:
                    return self._send(command)
                finally:
                    IN_FLIGHT.discard(id(command))
            case Borrow():
                return self._borrow(command)
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
        exchange, method = command.exchange, command.exchange.method
        rpc = self._open().rpcs[method.name]
        requests = exchange.requests()
        request = requests if method.client_streaming else next(requests)
        options = {"timeout": command.timeout, "metadata": self._endpoint.metadata}
        call: Any = None
        try:
            if method.server_streaming:
                call = rpc(request, **options)
                for response in call:
                    exchange.receive(response)
            elif exchange.is_traced:
                response, call = rpc.with_call(request, **options)
                exchange.receive(response)
            else:
                exchange.receive(rpc(request, **options))
            if exchange.is_traced:
                exchange.trail(call.trailing_metadata() or ())
        except grpc.RpcError as error:
            raise _error_of(error, self._endpoint.address, command.timeout) from error
        except ValueError as error:  # how gRPC says that another thread has closed the channel
            _check_open(self._closed, error)
            raise
        finally:
            if call is not None:
                call.cancel()  # does nothing to a call that has ended
        return exchange.result()

    def _borrow(self, command: Borrow) -> SharedMemory:
        rpc = partial(self._open().rpcs["Lease"], metadata=self._endpoint.metadata)
        try:
            return lease(rpc, command.byte_count, command.timeout)
        except grpc.RpcError as error:
            raise _error_of(error, self._endpoint.address, command.timeout) from error
        except ValueError as error:
            _check_open(self._closed, error)
            raise

    def _open(self) -> _Channel:
        channel = self._channel
        if channel is None:
            check_process()  # first: the lock may be held by a thread that is not in this process
            with self._opening:
                _check_open(self._closed)
                if self._channel is None:
                    self._channel = _open(grpc, self._endpoint, self._credentials)
                channel = self._channel
        check_owner(channel.pid)
        _check_open(self._closed)
        return channel


class AsyncTransport:
    """A channel to one server for awaiting calls, of one event loop and so of one process."""

    def __init__(self, endpoint: Endpoint) -> None:
        check_process()
        self._endpoint = endpoint
        self._channel = _open(grpc.aio, endpoint, endpoint.credentials())
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
        if self._channel.pid == os.getpid():
            await self._channel.channel.close()

    async def _perform(self, command: Any) -> Any:
        match command:
            case Send():
                check_owner(self._channel.pid)
                _check_open(self._closed)
                IN_FLIGHT.add(id(command))
                try:
                    return await self._send(command)
                finally:
                    IN_FLIGHT.discard(id(command))
            case Borrow():
                return await self._borrow(command)
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
        exchange, method = command.exchange, command.exchange.method
        requests = exchange.requests()
        call = self._channel.rpcs[method.name](
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
            if exchange.is_traced:
                exchange.trail(await call.trailing_metadata() or ())
        except grpc.RpcError as error:
            raise _error_of(error, self._endpoint.address, command.timeout) from error
        except asyncio.CancelledError:
            _check_open(self._closed)  # a closed channel cancels its calls, and nobody else did
            raise
        finally:
            call.cancel()  # does nothing to a call that has ended
        return exchange.result()

    async def _borrow(self, command: Borrow) -> SharedMemory:
        check_owner(self._channel.pid)
        _check_open(self._closed)
        rpc = partial(self._channel.rpcs["Lease"], metadata=self._endpoint.metadata)
        try:
            return await lease_async(rpc, command.byte_count, command.timeout)
        except grpc.RpcError as error:
            raise _error_of(error, self._endpoint.address, command.timeout) from error
        except asyncio.CancelledError:
            _check_open(self._closed)
            raise


@frozen(eq=False)
class _Channel:
    """An open channel: the process that opened it, and what calls each method, by its name."""

    pid: int
    channel: Any
    rpcs: dict[str, Any]


def _open(
    library: Any, endpoint: Endpoint, credentials: grpc.ChannelCredentials | None
) -> _Channel:
    """A channel of `grpc`, which blocks, or of `grpc.aio`, which awaits."""
    keep_buffers()
    channel = (
        library.secure_channel(endpoint.address, credentials, endpoint.options)
        if credentials
        else library.insecure_channel(endpoint.address, endpoint.options)
    )
    rpcs = {name: _rpc(channel, method) for name, method in METHODS.items()}
    return _Channel(os.getpid(), channel, rpcs)


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


def _status_of(metadata: Metadata) -> status_pb2.Status | None:
    for key, value in metadata:
        if key == DETAILS_KEY:
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None
