"""One child process as the front sees it: started, spoken to, ended and reaped."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress
from typing import Self

from convserve.errors import WorkerDiedError

from convserve_server.workers.arena import Arena
from convserve_server.workers.messages import FrameError, Message, Ready, read_frame

EXIT_SECONDS = 2.0  # for a child that has been told to exit, or is about to
_STDERR = 2  # the child's log, and whatever a library prints, go where the front's log goes


class ChildProcess:
    """A worker process that stands ready. Whoever started it calls `end`."""

    def __init__(
        self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(
        cls, arena: Arena, engine: str, threads: int | None, ready_seconds: float
    ) -> Self:
        """Start a child and wait until its engine is loaded. Raises WorkerDiedError."""
        try:
            child = await cls._spawn(arena, engine, threads)
        except OSError as error:
            raise WorkerDiedError(
                f"no worker process could be started: {error.strerror}"
            ) from error
        try:
            async with asyncio.timeout(ready_seconds):
                await child._receive_ready()
        except TimeoutError:
            await child.end(patience=0.0)
            raise WorkerDiedError(
                f"the worker process was not ready after {ready_seconds} s, and was ended"
            ) from None
        except (EOFError, OSError, FrameError) as error:
            how = await child.end()
            raise WorkerDiedError(f"the worker process {how} before it was ready") from error
        except BaseException:  # nobody waits for it any more
            await child.end(patience=0.0)
            raise
        return child

    @classmethod
    async def _spawn(cls, arena: Arena, engine: str, threads: int | None) -> Self:
        near, far = socket.socketpair()
        with far:
            reader, writer = await asyncio.open_unix_connection(sock=near)
            command = [sys.executable, "-P", "-X", "faulthandler"]
            command += ["-m", "convserve_server.workers.child", f"--engine={engine}"]
            command += [f"--socket={far.fileno()}"]
            command += [f"--arena={arena.fd}", f"--capacity={arena.capacity_bytes}"]
            command += [] if threads is None else [f"--threads={threads}"]
            try:
                process = await asyncio.create_subprocess_exec(
                    *command, stdin=DEVNULL, stdout=_STDERR, pass_fds=(far.fileno(), arena.fd)
                )
            except BaseException:
                writer.close()
                raise
        return cls(process, reader, writer)

    async def _receive_ready(self) -> None:
        first = await self.receive()
        if not isinstance(first, Ready):
            raise FrameError(f"{type(first).__name__} came before Ready")

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, frame: bytes) -> None:
        """Send one frame. A broken connection is told by `receive`."""
        self._writer.write(frame)

    async def receive(self) -> Message:
        """The child's next message. Raises EOFError, OSError or FrameError once it is lost."""
        return await read_frame(self._reader)

    def kill(self) -> None:
        """End the process at once; `receive` and `end` tell when it is gone."""
        # Not Process.kill: it may reap the child itself and take the exit status from its watcher.
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def end(self, patience: float = EXIT_SECONDS) -> str:
        """Close the connection, kill after `patience` seconds, reap, and tell how it ended.

        Afterwards the child writes no memory any more.
        """
        self._writer.transport.abort()
        with suppress(OSError):
            await self._writer.wait_closed()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._process.wait()
        finally:
            self.kill()
        return _how_it_ended(await self._process.wait())


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else "a real-time signal"
    return f"was ended by signal {-code} ({name})"
