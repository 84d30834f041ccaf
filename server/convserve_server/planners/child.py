"""The planner process: runs what the front asks for, one task at a time, until the front goes away.

It is started by `PlannerProcess` with a socket that it inherits, and the descriptor of the tensors'
memory if tasks may be given parts of that. It listens to nobody else.
"""

from __future__ import annotations

import argparse
import gc
import mmap
import resource
import socket
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO

from convserve.errors import ConvserveError, to_status

from convserve_server.children import follow_parent
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
from convserve_server.planners.tasks import load_task

_MAX_STORY_CHARS = 64 << 10


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one planner process."""
    options = _parse(arguments)
    follow_parent()
    resource.setrlimit(resource.RLIMIT_AS, (options.memory_bytes, options.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it may hold what callers sent
    with socket.socket(fileno=options.socket) as connection, connection.makefile("rb") as requests:
        connection.sendall(encode_frame(Ready()))
        with suppress(EOFError, ConnectionError):  # the front has gone
            while True:
                connection.sendall(_answer(_receive(requests), options.shared))


def run_task(ask: Ask, shared: int | None) -> Answer:
    """Run a task; every failure becomes an answer. `shared` is the descriptor of the memory."""
    try:
        task = load_task(ask.task)
        if ask.region is None:
            return Answer(ask.number, task(ask.request))
        with _region(shared, *ask.region) as view:
            return Answer(ask.number, task(ask.request, view))
    except ConvserveError as error:
        return Answer(ask.number, status=to_status(error).SerializeToString())
    except MemoryError:
        return Answer(ask.number)
    except Exception:  # a fault of the task must not reach the caller
        return Answer(ask.number, story=traceback.format_exc()[-_MAX_STORY_CHARS:])


def _answer(ask: Ask, shared: int | None) -> bytes:
    gc.disable()  # a plan is a tree; to walk it while it grows takes half as long as to make it
    try:
        return encode_frame(run_task(ask, shared))
    except FrameError as error:
        return encode_frame(Answer(ask.number, story=f"the response of {ask.task}: {error}"))
    except MemoryError:
        return encode_frame(Answer(ask.number))
    finally:
        gc.enable()


@contextmanager
def _region(shared: int | None, offset: int, byte_count: int) -> Iterator[memoryview]:
    """A part of the shared memory, and nothing but that; it cannot be written."""
    if shared is None:
        raise ValueError("this process was given no shared memory")
    start = offset % mmap.ALLOCATIONGRANULARITY
    mapping = mmap.mmap(shared, start + byte_count, prot=mmap.PROT_READ, offset=offset - start)
    try:
        with memoryview(mapping)[start:] as view:
            yield view
    finally:
        with suppress(BufferError):  # a task that keeps a part of it keeps the mapping
            mapping.close()


def _receive(requests: BinaryIO) -> Ask:
    """The next request. Raises EOFError when the front has gone."""
    body = _read(requests, decode_length(_read(requests, LENGTH_BYTES)))
    message = decode_body(body)
    if not isinstance(message, Ask):
        raise TypeError(f"{type(message).__name__} is not a request")
    return message


def _read(requests: BinaryIO, byte_count: int) -> bytes:
    data = requests.read(byte_count)
    if len(data) < byte_count:
        raise EOFError
    return data


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", type=int, required=True, help="descriptor of the socket")
    parser.add_argument("--shared", type=int, help="descriptor of the tensors' memory")
    parser.add_argument(
        "--memory-bytes", type=int, required=True, help="address space that it may use"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
