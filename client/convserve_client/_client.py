"""The two clients. What a method does is in the flow of its name; here it is only carried out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import update_wrapper
from inspect import Parameter, signature
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeAlias, TypeVar

from convserve.runs import CallRecord

from convserve_client import _explain, _imported, _models, _networks, _operations, _signals, _tiles
from convserve_client._endpoint import Endpoint
from convserve_client._flows import Flow
from convserve_client._local import LocalServer
from convserve_client._results import Out
from convserve_client._retries import Policy
from convserve_client._run import Inputs
from convserve_client._session import Session
from convserve_client._shared import leases_at
from convserve_client._transport import AsyncTransport, Transport

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=Callable[..., Any])
Loaded: TypeAlias = _models.Resident | _models.Served


def _blocking(
    flow: Callable[Concatenate[Session, P], Flow[T]],
) -> Callable[Concatenate[Client, P], T]:
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._transport.drive(flow(self._session, *args, **kwargs))

    return _described(method, flow)


def _awaiting(
    flow: Callable[Concatenate[Session, P], Flow[T]],
) -> Callable[Concatenate[AsyncClient, P], Awaitable[T]]:
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._transport.drive(flow(self._session, *args, **kwargs))

    return _described(method, flow)


def _blocking_load(
    flow: Callable[Concatenate[Session, P], Flow[Loaded]],
) -> Callable[Concatenate[Client, P], Model]:
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Model:
        loaded = self._transport.drive(flow(self._session, *args, **kwargs))
        return Model(self._transport, loaded)

    return _described(method, flow, "Model")


def _awaiting_load(
    flow: Callable[Concatenate[Session, P], Flow[Loaded]],
) -> Callable[Concatenate[AsyncClient, P], Awaitable[AsyncModel]]:
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncModel:
        loaded = await self._transport.drive(flow(self._session, *args, **kwargs))
        return AsyncModel(self._transport, loaded)

    return _described(method, flow, "AsyncModel")


def _described(method: M, flow: Callable[..., Any], result: str = "") -> M:
    """The method with its flow's name, documentation and signature, `self` for the session."""
    update_wrapper(method, flow)
    described = signature(flow)
    _, *parameters = described.parameters.values()
    method.__signature__ = described.replace(  # type: ignore[attr-defined]  # inspect reads it
        parameters=[Parameter("self", Parameter.POSITIONAL_ONLY), *parameters],
        return_annotation=result or described.return_annotation[len("Flow[") : -1],
    )
    return method


class Client:
    """A connection to a server, for blocking calls. Make one with `connect` or `local`.

    Any number of threads may use it at once. Use it in a `with` block, or close it.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        timeout: float,
        policy: Policy,
        server: LocalServer | None = None,
        *,
        priority: int = 0,
    ) -> None:
        self._endpoint = endpoint
        leases = leases_at(endpoint.address, threading.Lock())
        self._session = Session(timeout, policy, threading.Lock, priority=priority, leases=leases)
        self._transport = Transport(endpoint)
        self._server = server

    @property
    def address(self) -> str:
        """Where the server is."""
        return self._endpoint.address

    conv = _blocking(_operations.conv)
    conv_transpose = _blocking(_operations.conv_transpose)
    pool = _blocking(_operations.pool)
    conv_input_gradient = _blocking(_operations.conv_input_gradient)
    conv_weight_gradient = _blocking(_operations.conv_weight_gradient)
    convolve = _blocking(_signals.convolve)
    correlate = _blocking(_signals.correlate)
    read_network = _blocking(_imported.read_network)
    plan = _blocking(_networks.plan)
    explain = _blocking(_explain.explain)
    find_layers = _blocking(_explain.find_layers)
    tiles = _blocking(_tiles.tiles)
    run = _blocking(_networks.run)
    load = _blocking_load(_models.load)
    model = _blocking_load(_models.model)
    models = _blocking(_models.models)
    info = _blocking(_networks.info)
    devices = _blocking(_networks.devices)

    def trace(self) -> AbstractContextManager[list[CallRecord]]:
        """Collect a record of each call that this context makes: `with client.trace() as calls:`.

        A record says which engine and algorithm ran each step, and how long each stage took. Calls
        of other threads and other tasks are not collected.
        """
        return self._session.trace()

    def close(self) -> None:
        """Close the connection, and end the server that `local` started. Safe to repeat."""
        self._session.close()
        self._transport.close()
        if self._server is not None:
            self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.address!r})"


class AsyncClient:
    """A connection to a server, for awaiting calls. Make one with `connect_async`.

    Belongs to the event loop that it was made in; any number of tasks may use it at once. The
    methods, their arguments and errors are those of `Client`.
    """

    def __init__(
        self, endpoint: Endpoint, timeout: float, policy: Policy, *, priority: int = 0
    ) -> None:
        self._endpoint = endpoint
        leases = leases_at(endpoint.address, asyncio.Lock())
        self._session = Session(timeout, policy, asyncio.Lock, priority=priority, leases=leases)
        self._transport = AsyncTransport(endpoint)

    @property
    def address(self) -> str:
        """Where the server is."""
        return self._endpoint.address

    conv = _awaiting(_operations.conv)
    conv_transpose = _awaiting(_operations.conv_transpose)
    pool = _awaiting(_operations.pool)
    conv_input_gradient = _awaiting(_operations.conv_input_gradient)
    conv_weight_gradient = _awaiting(_operations.conv_weight_gradient)
    convolve = _awaiting(_signals.convolve)
    correlate = _awaiting(_signals.correlate)
    read_network = _awaiting(_imported.read_network)
    plan = _awaiting(_networks.plan)
    explain = _awaiting(_explain.explain)
    find_layers = _awaiting(_explain.find_layers)
    tiles = _awaiting(_tiles.tiles)
    run = _awaiting(_networks.run)
    load = _awaiting_load(_models.load)
    model = _awaiting_load(_models.model)
    models = _awaiting(_models.models)
    info = _awaiting(_networks.info)
    devices = _awaiting(_networks.devices)

    def trace(self) -> AbstractContextManager[list[CallRecord]]:
        """Collect a record of each call that this task makes: `with client.trace() as calls:`."""
        return self._session.trace()

    async def close(self) -> None:
        """Close the connection. Safe to repeat."""
        self._session.close()
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self.address!r})"


class Model:
    """A network resident on the server with its weights; from `Client.load` or `Client.model`.

    Any number of threads may call it at once. Use it in a `with` block, or close it.
    """

    def __init__(self, transport: Transport, resident: Loaded) -> None:
        self._transport = transport
        self._resident = resident

    @property
    def id(self) -> str:
        """The server's name for it; another one after the server lost it and was given it again."""
        return self._resident.id

    def __call__(self, x: Inputs, *, timeout: float | None = None, out: Out = None) -> Any:
        """Run it on `x`. Arguments, result and errors are those of `Client.run`."""
        return self._transport.drive(self._resident.run(x, timeout, out))

    def close(self) -> None:
        """Free it on the server if it came from `load`. Safe to repeat, and with no server left."""
        self._transport.drive(self._resident.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Model({self.id!r})"


class AsyncModel:
    """A network resident on the server with its weights; from `AsyncClient.load` or `model`."""

    def __init__(self, transport: AsyncTransport, resident: Loaded) -> None:
        self._transport = transport
        self._resident = resident

    @property
    def id(self) -> str:
        """The server's name for it; another one after the server lost it and was given it again."""
        return self._resident.id

    async def __call__(self, x: Inputs, *, timeout: float | None = None, out: Out = None) -> Any:  # noqa: ASYNC109  # sent along
        """Run it on `x`. Arguments, result and errors are those of `Client.run`."""
        return await self._transport.drive(self._resident.run(x, timeout, out))

    async def close(self) -> None:
        """Free it on the server if it came from `load`. Safe to repeat, and with no server left."""
        await self._transport.drive(self._resident.close())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncModel({self.id!r})"
