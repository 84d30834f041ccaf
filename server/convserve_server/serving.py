"""Runs a server as a process does: until a signal, or until its owner has gone."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

from convserve.chunks import keep_buffers

from convserve_server.app import Bound, running
from convserve_server.listening import StartError
from convserve_server.observability.logs import configure_logs, fields
from convserve_server.settings import VERSION, Settings

_LOG = logging.getLogger(__name__)


def serve(settings: Settings) -> int:
    """Run a server until a signal, or until its owner has gone. Returns the exit code."""
    configure_logs(settings.log_level, settings.log_format)
    keep_buffers()
    try:
        asyncio.run(_serve(settings))
    except StartError as error:
        _LOG.error("cannot start: %s", error)
        return 1
    return 0


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        stack.enter_context(_stop_requests(stop, settings.owner_fd))
        start = asyncio.create_task(stack.enter_async_context(running(settings)))
        bound = await _unless(stop, start)
        if bound is not None:
            _announce(bound, settings)
            await stop.wait()
            _LOG.info("stopping", extra=fields(grace_seconds=settings.grace_seconds))
    _LOG.info("stopped")


async def _unless(stop: asyncio.Event, task: asyncio.Task[Bound]) -> Bound | None:
    """The task's result; None if `stop` came before, which ends it."""
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
    return None if task.cancelled() else task.result()


@contextmanager
def _stop_requests(stop: asyncio.Event, owner_fd: int | None) -> Iterator[None]:
    """Set `stop` on SIGTERM, on SIGINT, and when the owner's descriptor reaches its end."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def read_owner(fd: int) -> None:
        if not os.read(fd, 4096):
            loop.remove_reader(fd)
            stop.set()

    if owner_fd is not None:
        loop.add_reader(owner_fd, read_owner, owner_fd)
    try:
        yield
    finally:
        if owner_fd is not None:
            loop.remove_reader(owner_fd)


def _announce(bound: Bound, settings: Settings) -> None:
    """Tell the log, and whoever started the server, that it serves, and where."""
    _LOG.info(
        "serving",
        extra=fields(
            version=VERSION,
            addresses=bound.addresses,
            metrics=bound.metrics,
            engine=settings.engine,
            tensor_pool_bytes=settings.tensor_pool_bytes,
        ),
    )
    if settings.ready_fd is None:
        return
    line = json.dumps({"addresses": bound.addresses, "metrics": bound.metrics})
    with os.fdopen(settings.ready_fd, "w") as file:
        file.write(line + "\n")
