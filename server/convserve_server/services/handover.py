"""The side door for descriptors: whoever shows a ticket there gets the memory it stands for."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import secrets
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Self

from convserve_server.addresses import fits_socket
from convserve_server.observability.logs import fields

TICKET_BYTES = 16
VISIT_SECONDS = 0.5  # to show a ticket: one small message, sent at once
MAX_VISITS = 64  # at once; others wait in the kernel's queue
PAUSE_SECONDS = 1.0  # after a connection could not be accepted, for want of descriptors

_LOG = logging.getLogger(__name__)
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid


def path_beside(socket_path: str) -> Path | None:
    """Where descriptors are handed over beside a server's Unix socket; None if that is too long."""
    path = f"{socket_path}.lease"
    return Path(path) if fits_socket(path) else None


class Handover:
    """A Unix socket that gives a descriptor for a ticket, once, to processes of the same user.

    A visitor sends the ticket and receives one byte with the descriptor, or nothing. Use it as an
    asynchronous context manager. The socket's file is made there; its owner removes it, before and
    after. Used from one event loop.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tickets: dict[bytes, int] = {}
        self._places = asyncio.Semaphore(MAX_VISITS)
        self._visits: set[asyncio.Task[None]] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._doorman: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            self._listener.setblocking(False)
            self._listener.bind(str(self.path))
            self.path.chmod(0o600)
            self._listener.listen()  # nobody could connect before
        except BaseException:
            self._listener.close()
            raise
        self._doorman = asyncio.create_task(self._keep_door())
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [task for task in (self._doorman, *self._visits) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._listener.close()

    @contextmanager
    def offer(self, fd: int) -> Iterator[bytes]:
        """A ticket for a descriptor. It can be used once, and within the block."""
        ticket = secrets.token_bytes(TICKET_BYTES)
        self._tickets[ticket] = fd
        try:
            yield ticket
        finally:
            self._tickets.pop(ticket, None)

    async def _keep_door(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._places.acquire()
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                self._places.release()
                _LOG.warning("no descriptor can be handed over: %s", error.strerror)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            visit = asyncio.create_task(self._receive(connection))
            self._visits.add(visit)
            visit.add_done_callback(partial(self._leave, connection))

    def _leave(self, connection: socket.socket, visit: asyncio.Task[None]) -> None:
        """End a visit, even one that was cancelled before it began."""
        connection.close()
        self._visits.discard(visit)
        self._places.release()

    async def _receive(self, connection: socket.socket) -> None:
        """Serve one visitor, whatever it does."""
        try:
            async with asyncio.timeout(VISIT_SECONDS):
                refusal = await self._serve(connection)
        except TimeoutError:
            refusal = f"it showed no ticket within {VISIT_SECONDS:g} s"
        except OSError as error:
            refusal = f"it has gone: {error.strerror}"
        if refusal:
            _LOG.warning("no descriptor handed over", extra=fields(why=refusal))

    async def _serve(self, connection: socket.socket) -> str:
        """Give the descriptor. Returns why not, or nothing."""
        user = _user_of(connection)
        if user != os.geteuid():
            return f"it belongs to user {user}"
        shown = await _read_ticket(connection)
        ticket = next((each for each in self._tickets if hmac.compare_digest(each, shown)), None)
        if ticket is None:
            return f"its {len(shown)} bytes are no ticket"
        # One byte always fits the buffer of a connection that nothing was sent on.
        socket.send_fds(connection, [b"\0"], [self._tickets.pop(ticket)])
        return ""


def _user_of(connection: socket.socket) -> int:
    """The user of the process that connected, as the kernel knows it."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(data)
    return int(user)


async def _read_ticket(connection: socket.socket) -> bytes:
    """What the visitor shows: a ticket's length of bytes, or fewer if it ends before."""
    loop = asyncio.get_running_loop()
    connection.setblocking(False)
    shown = b""
    while len(shown) < TICKET_BYTES:
        data = await loop.sock_recv(connection, TICKET_BYTES - len(shown))
        if not data:
            break
        shown += data
    return shown
