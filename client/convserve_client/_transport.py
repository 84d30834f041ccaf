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
from convserve.errors import ConvserveError, FailedPreconditionError
from convserve.services import METHODS, Method, parser, serialize

from convserve_client._config import TLS, read_pem
from convserve_client._endpoint import Endpoint
from convserve_client._flows import Borrow, Exclusive, Flow, Pause, Send
from convserve_client._forks import IN_FLIGHT, check_owner, check_process
from convserve_client._leasing import lease, lease_async
from convserve_client._memory import SharedMemory
from convserve_client._statuses import error_of, waited

T = TypeVar("T")


class Transport:
    """A channel to one server for blocking calls. Safe for use by many threads.

    The first call opens it. It belongs to the process of that call, and a fork of that process
    cannot use it.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._credentials = _credentials(endpoint.tls)
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
                    raise waited(command)
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
            raise error_of(error, self._endpoint.address, command.timeout) from error
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
            raise error_of(error, self._endpoint.address, command.timeout) from error
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
        self._channel = _open(grpc.aio, endpoint, _credentials(endpoint.tls))
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
                    raise waited(command) from None
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
            raise error_of(error, self._endpoint.address, command.timeout) from error
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
            raise error_of(error, self._endpoint.address, command.timeout) from error
        except asyncio.CancelledError:
            _check_open(self._closed)
            raise


@frozen(eq=False)
class _Channel:
    """An open channel: the process that opened it, and what calls each method, by its name."""

    pid: int
    channel: Any
    rpcs: dict[str, Any]


def _credentials(tls: TLS | None) -> grpc.ChannelCredentials | None:
    """The channel's credentials; None without TLS. Reads the files."""
    if tls is None:
        return None
    return grpc.ssl_channel_credentials(
        read_pem(tls.ca), read_pem(tls.key), read_pem(tls.certificate)
    )


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
    return getattr(channel, method.arity)(
        method.path,
        request_serializer=serialize,
        response_deserializer=parser(method.response),
    )


def _check_open(closed: bool, cause: Exception | None = None) -> None:
    if closed:
        raise FailedPreconditionError("this client is closed: connect again") from cause
