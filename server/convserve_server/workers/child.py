"""The worker process: loads one engine and runs what the front sends, until the front goes away.

It is started by `ChildProcess` with two descriptors that it inherits: a socket for messages and the
arena's memory. It listens to nobody else.
"""

from __future__ import annotations

import argparse
import json
import logging
import mmap
import os
import selectors
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress

from convserve_server.children import follow_parent
from convserve_server.engines import load_engine
from convserve_server.engines.base import DeviceLostError, Engine, LaneEngine
from convserve_server.workers.lanes import Lanes, Waiter
from convserve_server.workers.messages import (
    Detach,
    Done,
    Forget,
    FrameBuffer,
    Message,
    Ready,
    Run,
    Unable,
    encode_frame,
)
from convserve_server.workers.runner import Places, Runner
from convserve_server.workers.segments import Segments

RECEIVE_BYTES = 64 << 10
DEVICE_LOST_CODE = 70
MAX_REASON_CHARS = 500

_LOG = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one worker process."""
    options = _parse(arguments)
    follow_parent()
    connection = socket.socket(fileno=options.socket)
    segments = socket.socket(fileno=options.segments)
    memory = memoryview(mmap.mmap(options.arena, options.capacity))
    with _lost_with_the_device(), _telling_why_not(connection):
        engine = load_engine(options.engine, **options.options)
    with connection, segments, suppress(EOFError, ConnectionError):  # until the front has gone
        _serve(connection, segments, memory, engine)


def _serve(
    connection: socket.socket, segments: socket.socket, memory: memoryview, engine: Engine
) -> None:
    if not isinstance(engine, LaneEngine):
        with closing(Segments(segments)) as known:
            connection.sendall(encode_frame(Ready()))
            serve(connection, Runner(engine, Places(memory, known)))
        return
    with (
        closing(engine),
        closing(Segments(segments, engine.attach, engine.detach)) as known,
        closing(Waiter()) as waiter,
        _lost_with_the_device(),
    ):
        engine.attach(memory)
        connection.sendall(encode_frame(Ready(engine.facts)))
        serve_lanes(connection, engine, Places(memory, known), waiter)


@contextmanager
def _lost_with_the_device() -> Iterator[None]:
    """End the process if the device is lost: at once, as the usual way out may wait for it."""
    try:
        yield
    except DeviceLostError as error:
        _LOG.error("the device is lost, and this worker with it: %s", error)
        os._exit(DEVICE_LOST_CODE)


@contextmanager
def _telling_why_not(connection: socket.socket) -> Iterator[None]:
    """Tell the front what keeps the engine from being loaded; the log has the whole story."""
    try:
        yield
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"[:MAX_REASON_CHARS]
        connection.sendall(encode_frame(Unable(reason)))
        raise


def serve(connection: socket.socket, runner: Runner) -> None:
    """Answer requests, one after the other. Raises EOFError when the front has gone."""
    frames = FrameBuffer()
    while data := connection.recv(RECEIVE_BYTES):
        for request in frames.feed(data):
            _answer(connection, runner, request)
    raise EOFError


def _answer(connection: socket.socket, runner: Runner, request: Message) -> None:
    match request:
        case Run():
            connection.sendall(encode_frame(runner.run(request)))
        case Forget():
            connection.sendall(encode_frame(runner.forget(request)))
        case Detach():
            runner.places.detach(request)
        case _:
            raise TypeError(f"{type(request).__name__} is not a request")


def serve_lanes(
    connection: socket.socket, engine: LaneEngine, places: Places, waiter: Waiter
) -> None:
    """Answer requests, several at once. Raises EOFError, and DeviceLostError."""

    def send(done: Done) -> None:
        connection.sendall(encode_frame(done))

    lanes, frames = Lanes(engine, places, waiter, send), FrameBuffer()
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        selector.register(waiter, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is waiter:
                    lanes.settle(waiter.take_done())
                elif data := connection.recv(RECEIVE_BYTES):
                    for request in frames.feed(data):
                        lanes.take(request)
                else:
                    raise EOFError


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", type=int, required=True, help="descriptor of the socket")
    parser.add_argument("--segments", type=int, required=True, help="descriptor of their socket")
    parser.add_argument("--arena", type=int, required=True, help="descriptor of the memory")
    parser.add_argument("--capacity", type=int, required=True, help="bytes of the memory")
    parser.add_argument("--engine", required=True, help="an engine's name, or module:Class")
    parser.add_argument("--options", type=json.loads, default={}, help="what it is made with: JSON")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
