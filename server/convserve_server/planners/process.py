"""One planner process as the front sees it: started, asked, ended and reaped."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import DEVNULL, Process
from contextlib import ExitStack, suppress
from typing import Self, TypeVar

from convserve.errors import WorkerDiedError

from convserve_server.children import how_it_ended
from convserve_server.planners.messages import (
    LENGTH_BYTES,
    Answer,
    Ask,
    FrameError,
    Ready,
    decode_body,
    decode_length,
    encode_frame,
)

READY_SECONDS = 60.0
EXIT_SECONDS = 2.0  # for a process whose connection has ended: it is about to exit
_STDERR = 2  # whatever a library prints goes where the front's log goes

M = TypeVar("M", Answer, Ready)


class PlannerLostError(Exception):
    """The process is of no use any more; the message says how it ended, or what it did."""


class PlannerProcess:
    """A planner process that stands ready. Whoever started it calls `end`."""

    def __init__(self, process: Process, reader: StreamReader, writer: StreamWriter) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)

    @classmethod
    async def start(cls, shared: int | None, memory_bytes: int) -> Self:
        """Start a process that may use `memory_bytes`, and wait for it. Raises WorkerDiedError.

        Tasks may be given parts of the memory that `shared` is the descriptor of.
        """
        try:
            planner = await cls._spawn(shared, memory_bytes)
        except OSError as error:
            raise WorkerDiedError(
                f"no planner process could be started: {error.strerror}"
            ) from error
        try:
            async with asyncio.timeout(READY_SECONDS):
                await planner._receive(Ready)
        except BaseException as error:
            await planner.end()
            if isinstance(error, TimeoutError | PlannerLostError):
                how = str(error) or f"was not ready after {READY_SECONDS:g} s"
                raise WorkerDiedError(f"a planner process {how} at its start") from None
            raise  # nobody waits for it any more
        return planner

    @classmethod
    async def _spawn(cls, shared: int | None, memory_bytes: int) -> Self:
        near, far = socket.socketpair()
        with far, ExitStack() as undo:
            undo.callback(near.close)
            reader, writer = await asyncio.open_unix_connection(sock=near)
            undo.callback(writer.transport.abort)
            command = [sys.executable, "-P", "-X", "faulthandler"]
            command += ["-m", "convserve_server.planners.child"]
            command += [f"--socket={far.fileno()}", f"--memory-bytes={memory_bytes}"]
            command += [] if shared is None else [f"--shared={shared}"]
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=DEVNULL,
                stdout=_STDERR,
                pass_fds=[fd for fd in (far.fileno(), shared) if fd is not None],
            )
            undo.pop_all()
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended, and with it the process, or soon."""
        return self._reader.at_eof()

    async def ask(self, task: str, request: bytes, region: tuple[int, int] | None) -> Answer:
        """The answer to an `Ask`. Raises PlannerLostError, also where it is no answer to that."""
        number = next(self._numbers)
        with suppress(ConnectionError):  # told by what is, or is not, received
            self._writer.write(encode_frame(Ask(number, task, request, region)))
            await self._writer.drain()
        answer = await self._receive(Answer)
        if answer.number != number:
            raise PlannerLostError(f"answered {answer.number} out of turn")
        return answer

    async def end(self, patience: float = 0.0) -> str:
        """Kill the process after `patience` seconds, reap it, and tell how it ended. Idempotent."""
        self._writer.transport.abort()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._process.wait()
        finally:
            self._kill()
        return how_it_ended(await self._process.wait())

    def _kill(self) -> None:
        # Not Process.kill: it may reap the child itself and take the exit status from its watcher.
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def _receive(self, kind: type[M]) -> M:
        try:
            length = decode_length(await self._reader.readexactly(LENGTH_BYTES))
            message = decode_body(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise PlannerLostError(await self.end(EXIT_SECONDS)) from None
        except FrameError as error:
            raise PlannerLostError(f"gave an answer that cannot be taken: {error}") from error
        if not isinstance(message, kind):
            raise PlannerLostError(f"said {type(message).__name__} out of turn")
        return message
