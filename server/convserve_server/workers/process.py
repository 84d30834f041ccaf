"""One child process as the front sees it: started, spoken to, ended and reaped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Self

from convserve.errors import WorkerDiedError

from convserve_server.children import how_it_ended
from convserve_server.engines.base import DeviceFacts, EngineSpec
from convserve_server.workers.arena import Arena
from convserve_server.workers.messages import (
    Detach,
    Done,
    FrameBuffer,
    FrameError,
    Ready,
    Unable,
    encode_frame,
)
from convserve_server.workers.segments import Segment, segment_sockets, send_segment

EXIT_SECONDS = 2.0  # for a child that has been told to exit, or is about to
_STDERR = 2  # the child's log, and whatever a library prints, go where the front's log goes


class _Connection(asyncio.Protocol):
    """Gives each answer to `on_done` in the callback that received it: no task has to wake up."""

    def __init__(self, on_done: Callable[[Done], None]) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[DeviceFacts | None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.error: Exception | None = None
        self.failure = ""  # why its engine could not be loaded
        self._on_done = on_done
        self._buffer = FrameBuffer()
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._buffer.feed(data):
                self._take(message)
        except Exception as error:  # whatever its answer was, only a new child can be trusted
            self.error = error
            self.end()

    def _take(self, message: object) -> None:
        if isinstance(message, Ready) and not self.ready.done():
            self.ready.set_result(message.device)
        elif isinstance(message, Unable) and not self.ready.done():
            self.failure = message.reason
        elif isinstance(message, Done) and self.ready.done():
            self._on_done(message)
        else:
            raise FrameError(f"{type(message).__name__} came out of turn")

    def connection_lost(self, error: Exception | None) -> None:
        self.end()

    def end(self) -> None:
        """Take nothing more."""
        if self._transport is not None:
            self._transport.close()
        if not self.lost.done():
            self.lost.set_result(None)


class ChildProcess:
    """A worker process that stands ready. Whoever started it calls `end`."""

    def __init__(
        self,
        process: Process,
        transport: asyncio.WriteTransport,
        connection: _Connection,
        segments: socket.socket,
    ) -> None:
        self._process = process
        self._transport = transport
        self._connection = connection
        self._segments = segments
        self._handed: set[int] = set()

    @classmethod
    async def start(
        cls,
        arena: Arena,
        engine: EngineSpec,
        ready_seconds: float,
        on_done: Callable[[Done], None],
    ) -> Self:
        """Start a child and wait until its engine is loaded. Raises WorkerDiedError.

        `on_done` is called with each of its answers, and may raise FrameError.
        """
        try:
            child = await cls._spawn(arena, engine, on_done)
        except OSError as error:
            raise WorkerDiedError(
                f"no worker process could be started: {error.strerror}"
            ) from error
        ready, lost = child._connection.ready, child._connection.lost
        try:
            async with asyncio.timeout(ready_seconds):
                await asyncio.wait((ready, lost), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            await child.end(patience=0.0)
            raise WorkerDiedError(
                f"the worker process was not ready after {ready_seconds} s, and was ended"
            ) from None
        except BaseException:  # nobody waits for it any more
            await child.end(patience=0.0)
            raise
        if lost.done():
            how, failure = await child.end(), child._connection.failure
            why = f": {failure}" if failure else ""
            raise WorkerDiedError(f"the worker process {how} before it was ready{why}")
        return child

    @classmethod
    async def _spawn(
        cls, arena: Arena, engine: EngineSpec, on_done: Callable[[Done], None]
    ) -> Self:
        near, far = socket.socketpair()
        near_segments, far_segments = segment_sockets()
        with far, far_segments, ExitStack() as undo:
            undo.callback(near_segments.close)
            transport, connection = await asyncio.get_running_loop().create_unix_connection(
                lambda: _Connection(on_done), sock=near
            )
            undo.callback(transport.close)
            command = [sys.executable, "-P", "-X", "faulthandler"]
            command += ["-m", "convserve_server.workers.child", f"--engine={engine.name}"]
            command += [f"--options={json.dumps(dict(engine.options))}"]
            command += [f"--socket={far.fileno()}", f"--segments={far_segments.fileno()}"]
            command += [f"--arena={arena.fd}", f"--capacity={arena.mapped_bytes}"]
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=DEVNULL,
                stdout=_STDERR,
                env=engine.environment,
                pass_fds=(far.fileno(), far_segments.fileno(), arena.fd),
            )
            undo.pop_all()
        return cls(process, transport, connection, near_segments)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def device(self) -> DeviceFacts | None:
        """What its engine found out about the device, if that has one of its own."""
        return self._connection.ready.result()

    def send(self, frame: bytes) -> None:
        """Send one frame. A broken connection is told by `until_lost`."""
        self._transport.write(frame)

    def hand(self, segment: Segment) -> None:
        """Have the child know a segment, before the first frame that names it.

        A child that does not take it is killed: it could not be told of any other.
        """
        if segment.segment in self._handed:
            return
        try:
            send_segment(self._segments, segment)
        except OSError:  # it has gone, or its socket is full of segments
            self.kill()
        self._handed.add(segment.segment)

    def detach(self, number: int) -> None:
        """Have the child unmap a segment that is not named any more."""
        if number in self._handed:
            self._handed.discard(number)
            self.send(encode_frame(Detach(number)))

    async def until_lost(self) -> Exception | None:
        """Wait until the child has exited, is about to, or is killed for an answer.

        Returns why that answer could not be taken.
        """
        await asyncio.wait((self._connection.lost,))
        if self._connection.error is not None:
            self.kill()
        return self._connection.error

    def kill(self) -> None:
        """End the process at once; `until_lost` and `end` tell when it is gone."""
        # Not Process.kill: it may reap the child itself and take the exit status from its watcher.
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def end(self, patience: float = EXIT_SECONDS) -> str:
        """Close the connection, kill after `patience` seconds, reap, and tell how it ended.

        Afterwards the child writes no memory any more.
        """
        self._transport.abort()
        self._segments.close()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._process.wait()
        finally:
            self.kill()
        return how_it_ended(await self._process.wait())
