"""The worker process: loads one engine and runs what the front sends, until the front goes away.

It is started by `ChildProcess` with two descriptors that it inherits: a socket for messages and the
arena's memory. It listens to nobody else.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import closing
from itertools import repeat

from attrs import frozen
from convserve.errors import CallCancelledError, ConvserveError, TooLargeError, to_status

from convserve_server.children import follow_parent
from convserve_server.engines import load_engine
from convserve_server.engines.base import Engine
from convserve_server.workers.batches import Views, join
from convserve_server.workers.messages import (
    Detach,
    Done,
    Failure,
    Forget,
    FrameBuffer,
    Message,
    Part,
    Ready,
    Run,
    Success,
    encode_frame,
    encode_steps,
)
from convserve_server.workers.segments import Segments
from convserve_server.workers.views import Slots, index_of, slots_of

_MAX_STORY_CHARS = 64 << 10
RECEIVE_BYTES = 64 << 10
_OUT_OF_MEMORY = "the engine ran out of memory; make the tensors smaller or split the batch"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one worker process."""
    options = _parse(arguments)
    follow_parent()
    connection = socket.socket(fileno=options.socket)
    segments = Segments(socket.socket(fileno=options.segments))
    memory = memoryview(mmap.mmap(options.arena, options.capacity))
    engine_options = {} if options.threads is None else {"threads": options.threads}
    engine = load_engine(options.engine, **engine_options)
    with connection, closing(segments):
        connection.sendall(encode_frame(Ready()))
        try:
            serve(connection, Runner(engine, memory, segments))
        except (EOFError, ConnectionError):
            return  # the front has gone


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
            runner.detach(request)
        case _:
            raise TypeError(f"{type(request).__name__} is not a request")


@frozen
class Runner:
    """Runs requests with an engine, on tensors in `memory` and in segments."""

    engine: Engine
    memory: memoryview
    segments: Segments

    def run(self, request: Run) -> Done:
        """Run one job, as one batch if it has several parts. Every failure becomes an answer.

        What fails together is tried alone: a part must not fail for the values of another.
        """
        if self.memory[request.flag]:
            return Done(request.job_id, (_GIVEN_UP,))
        outcomes: tuple[Success | Failure, ...] = (self._attempt(request, request.parts),)
        if isinstance(outcomes[0], Failure) and len(request.parts) > 1:
            outcomes = tuple(self._attempt(request, (part,)) for part in request.parts)
        if request.is_frugal:
            _return_memory()
        return Done(request.job_id, outcomes)

    def forget(self, request: Forget) -> Done:
        """Drop what the engine kept for a key."""
        self.engine.forget(request.key)
        return Done(request.job_id)

    def detach(self, request: Detach) -> None:
        """Unmap a segment; one that no request has named was not even received yet."""
        self.segments.view(request.segment)
        self.segments.forget(request.segment)

    def _attempt(self, request: Run, parts: tuple[Part, ...]) -> Success | Failure:
        try:
            return self._compute(request, parts)
        except ConvserveError as error:
            return _refused(error)
        except MemoryError:
            return _refused(TooLargeError(_OUT_OF_MEMORY))
        except Exception:  # a fault of the engine must not end the process, nor reach the caller
            return Failure(story=traceback.format_exc()[-_MAX_STORY_CHARS:])

    def _compute(self, request: Run, parts: tuple[Part, ...]) -> Success:
        start = time.perf_counter()
        slots = slots_of(request)
        batch = join(slots.work, [self._views(request, slots, part) for part in parts])
        steps = self.engine.run(batch.work, batch.tensors, batch.outputs, request.key)
        batch.scatter()
        return Success(encode_steps(steps), time.perf_counter() - start, batch.rows)

    def _views(self, request: Run, slots: Slots, part: Part) -> Views:
        segments = part.segments or repeat(0, len(part.addresses))
        memories = [self.segments.view(n) if n else self.memory for n in segments]
        places = list(zip(memories, part.addresses, strict=True))
        tensors, outputs = (
            {
                slot.name: slot.view(*place, request, part.rows)
                for slot, place in zip(slots, places, strict=True)
            }
            for slots, places in (
                (slots.tensors, places[: len(slots.tensors)]),
                (slots.outputs, places[len(slots.tensors) :]),
            )
        )
        for array in tensors.values():
            array.flags.writeable = False
        kept = {name: index_of(part, outputs[name].ndim) for name, part in request.kept.items()}
        return Views(tensors, outputs, kept)


def _refused(error: ConvserveError) -> Failure:
    return Failure(to_status(error).SerializeToString())


_GIVEN_UP = _refused(CallCancelledError("nobody waits for it any more"))


def _return_memory() -> None:
    """Give what is free of the C library's heap back to the system.

    Without this a worker with 32 MiB for its work grew by 240: glibc keeps what is freed in blocks
    of up to 32 MiB, and pieces leave gaps that fit none. Where memory is not short, such as between
    blocks of rows, it would only be faulted in again.
    """
    ctypes.CDLL(None).malloc_trim(0)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", type=int, required=True, help="descriptor of the socket")
    parser.add_argument("--segments", type=int, required=True, help="descriptor of their socket")
    parser.add_argument("--arena", type=int, required=True, help="descriptor of the memory")
    parser.add_argument("--capacity", type=int, required=True, help="bytes of the memory")
    parser.add_argument("--engine", required=True, help="an engine's name, or module:Class")
    parser.add_argument("--threads", type=int, help="threads that the engine may use")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
