"""Where a server listens: its addresses, the door for shared memory, and the metrics' port.

Each is opened on the caller's stack, which closes it again. What cannot be opened is a StartError.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from convserve_server.addresses import Address
from convserve_server.observability.logs import fields
from convserve_server.observability.metrics import Metrics, MetricsServer
from convserve_server.services.handover import Handover, path_beside
from convserve_server.settings import Settings

_LOG = logging.getLogger(__name__)


class StartError(Exception):
    """The server cannot start; the message says why and what to do."""


def listen(bind: Callable[[str], int], address: Address, stack: AsyncExitStack) -> str:
    """Bind an address; returns it with the port that was chosen. Raises StartError.

    `bind` is what gRPC binds with: it returns the port, and raises RuntimeError.
    """
    if not address.is_local:
        _LOG.warning(
            "anyone who reaches this address can use the server: there is no TLS and no token yet",
            extra=fields(address=str(address)),
        )
    if address.path:
        stack.enter_context(_socket_file(Path(address.path)))
    try:
        port = bind(str(address))
    except RuntimeError:
        raise StartError(
            f"cannot listen on {address}: it is in use, or not an address of this machine; choose "
            "another with --listen ADDRESS"
        ) from None
    return str(address) if address.path else str(Address(address.host, port))


async def open_handover(settings: Settings, stack: AsyncExitStack) -> Handover | None:
    """Where shared memory is handed over: beside the first Unix socket. Raises StartError."""
    paths = (path_beside(address.path) for address in settings.listen if address.path)
    path = next((path for path in paths if path is not None), None)
    if path is None or not settings.max_lease_bytes:
        return None
    stack.enter_context(_socket_file(path))
    try:
        return await stack.enter_async_context(Handover(path))
    except OSError as error:
        raise StartError(
            f"memory cannot be shared on unix:{path}: {error.strerror}; choose another socket with "
            "--listen, or share none with --lease-bytes 0"
        ) from None


def start_metrics(address: Address | None, metrics: Metrics, stack: AsyncExitStack) -> str | None:
    """Answer Prometheus; returns the address with the port that was chosen. Raises StartError."""
    if address is None:
        return None
    try:
        server = MetricsServer(metrics, address.host, address.port)
    except OSError as error:
        raise StartError(
            f"metrics cannot listen on {address}: {error.strerror}; choose another with "
            "--metrics HOST:PORT, or --metrics off"
        ) from None
    stack.push_async_callback(asyncio.to_thread, server.close)
    return str(Address(address.host, server.port))


@contextmanager
def _socket_file(path: Path) -> Iterator[None]:
    """Remove a stale socket file before, and the server's own after."""
    try:
        _make_way(path)
    except OSError as error:
        raise _refusal(path, f"{error.strerror}; choose another with --listen") from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _make_way(path: Path) -> None:
    folder = path.parent
    if not (os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)):
        raise _refusal(path, f"{folder} is no directory that can be written to; make it first")
    if path.is_socket():
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                raise _refusal(path, "another server does")
        path.unlink()
    elif path.exists():
        raise _refusal(path, "the file is not a socket")


def _refusal(path: Path, why: str) -> StartError:
    return StartError(f"cannot listen on unix:{path}: {why}")
