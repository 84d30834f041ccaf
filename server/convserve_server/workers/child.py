"""The worker process: loads one engine and runs what the front sends, until the front goes away.

It is started by `ChildProcess` with two descriptors that it inherits: a socket for messages and the
arena's memory. It listens to nobody else.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence

from attrs import frozen
from convserve.errors import ConvserveError, TooLargeError, to_status
from convserve.tensors import Array, array_over

from convserve_server.engines import load_engine
from convserve_server.engines.base import Engine
from convserve_server.planning.inputs import CHANNELS_LAST, channels_first_axes
from convserve_server.planning.program import work_parameters
from convserve_server.workers.messages import (
    Done,
    Failed,
    Forget,
    PlacedTensor,
    Ready,
    Run,
    decode_work,
    encode_frame,
    receive_frame,
)

_PR_SET_PDEATHSIG = 1
_MAX_STORY_CHARS = 64 << 10
_OUT_OF_MEMORY = "the engine ran out of memory; make the tensors smaller or split the batch"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one worker process."""
    options = _parse(arguments)
    _follow_the_front()
    connection = socket.socket(fileno=options.socket)
    memory = memoryview(mmap.mmap(options.arena, options.capacity))
    engine_options = {} if options.threads is None else {"threads": options.threads}
    engine = load_engine(options.engine, **engine_options)
    with connection:
        connection.sendall(encode_frame(Ready()))
        try:
            serve(connection, Runner(engine, memory))
        except (EOFError, ConnectionError):
            return  # the front has gone


def serve(connection: socket.socket, runner: Runner) -> None:
    """Answer requests, one after the other. Raises EOFError when the front has gone."""
    while True:
        request = receive_frame(connection)
        if isinstance(request, Run):
            reply = runner.run(request)
        elif isinstance(request, Forget):
            reply = runner.forget(request)
        else:
            raise TypeError(f"{type(request).__name__} is not a request")
        connection.sendall(encode_frame(reply))


@frozen
class Runner:
    """Runs requests with an engine, on tensors in `memory`."""

    engine: Engine
    memory: memoryview

    def run(self, request: Run) -> Done | Failed:
        """Run one job. Every failure becomes a reply."""
        try:
            return self._compute(request)
        except ConvserveError as error:
            return _refused(request, error)
        except MemoryError:
            return _refused(request, TooLargeError(_OUT_OF_MEMORY))
        except Exception:  # a fault of the engine must not end the process, nor reach the caller
            return Failed(request.job_id, story=traceback.format_exc()[-_MAX_STORY_CHARS:])

    def forget(self, request: Forget) -> Done:
        """Drop what the engine kept for a key."""
        self.engine.forget(request.key)
        return Done(request.job_id)

    def _compute(self, request: Run) -> Done:
        work = decode_work(request.work)
        tensors = {
            tensor.spec.name: self._array(tensor, writable=False) for tensor in request.tensors
        }
        outputs = {
            tensor.spec.name: self._array(tensor, writable=True) for tensor in request.outputs
        }
        if request.layout == CHANNELS_LAST:
            weights = {spec.name for spec in work_parameters(work)}
            tensors |= {n: _channels_first(a) for n, a in tensors.items() if n not in weights}
            outputs = {n: _channels_first(a) for n, a in outputs.items()}
        start = time.perf_counter()
        steps = self.engine.run(work, tensors, outputs, request.key)
        return Done(request.job_id, steps, time.perf_counter() - start)

    def _array(self, tensor: PlacedTensor, *, writable: bool) -> Array:
        data = self.memory[tensor.address : tensor.address + tensor.spec.byte_count]
        return array_over(data if writable else data.toreadonly(), tensor.spec)


def _refused(request: Run, error: ConvserveError) -> Failed:
    return Failed(request.job_id, to_status(error).SerializeToString())


def _channels_first(array: Array) -> Array:
    """A view with the last axis, the channels', after the batch."""
    return array.transpose(channels_first_axes(array.ndim))


def _follow_the_front() -> None:
    """Leave interrupts to the front, and end with it even in the middle of a computation."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", type=int, required=True, help="descriptor of the socket")
    parser.add_argument("--arena", type=int, required=True, help="descriptor of the memory")
    parser.add_argument("--capacity", type=int, required=True, help="bytes of the memory")
    parser.add_argument("--engine", required=True, help="an engine's name, or module:Class")
    parser.add_argument("--threads", type=int, help="threads that the engine may use")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
