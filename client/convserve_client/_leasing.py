"""How a lease of shared memory is had: a stream that stays open, and a descriptor.

The drivers use it. Errors of gRPC pass through.
"""

from __future__ import annotations

import asyncio
import fcntl
import mmap
import os
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from convserve.errors import DeadlineExceededError, InternalError, NotLocalError
from convserve.v1 import compute_service_pb2 as pb2

from convserve_client._memory import SharedMemory

LEAVE_SECONDS = 1.0  # it takes well below a millisecond
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW

# The memory that clients have, and what tells that a blocking one's stream has ended.
_lent: weakref.WeakKeyDictionary[SharedMemory, threading.Event] = weakref.WeakKeyDictionary()


def lease(
    call: Callable[[Iterator[pb2.LeaseRequest]], Any], byte_count: int, seconds: float
) -> SharedMemory:
    """Shared memory of about `byte_count` bytes, by a blocking Lease rpc.

    Raises NotLocalError if the memory cannot be fetched, and what the rpc raises.
    """
    ended = threading.Event()
    responses = call(_requests(byte_count, ended))

    def end() -> None:
        ended.set()
        responses.cancel()

    late = threading.Timer(seconds, responses.cancel)
    late.start()
    try:
        answer = next(responses, None)
        memory = SharedMemory(*_taken(answer, seconds), end)
    except BaseException:
        end()
        raise
    finally:
        late.cancel()
    done = threading.Event()
    responses.add_done_callback(_closer(memory, done))
    _lent[memory] = done
    return memory


async def lease_async(call: Callable[[], Any], byte_count: int, seconds: float) -> SharedMemory:
    """`lease` by an awaiting Lease rpc."""
    loop, stream = asyncio.get_running_loop(), call()

    def end() -> None:
        with suppress(RuntimeError):  # the loop has closed, and the stream with it
            loop.call_soon_threadsafe(stream.cancel)

    try:
        async with asyncio.timeout(seconds):
            with suppress(asyncio.InvalidStateError):  # it has failed already: `read` tells why
                await stream.write(pb2.LeaseRequest(byte_count=byte_count))
            answer = await stream.read()
            memory = SharedMemory(*await asyncio.to_thread(_taken, answer, seconds), end)
    except TimeoutError:
        stream.cancel()
        raise DeadlineExceededError(f"no memory was shared within {seconds:g} s") from None
    except BaseException:
        stream.cancel()
        raise
    done = threading.Event()
    done.set()  # nobody can wait for the stream's end in the thread of its loop
    stream.add_done_callback(_closer(memory, done))
    _lent[memory] = done
    return memory


def _requests(byte_count: int, ended: threading.Event) -> Iterator[pb2.LeaseRequest]:
    """One request; the stream stays open until the end."""
    yield pb2.LeaseRequest(byte_count=byte_count)
    ended.wait()


def _closer(memory: SharedMemory, done: threading.Event) -> Callable[[Any], None]:
    """What closes memory whose stream has ended, and says so; it keeps nothing alive."""
    reference = weakref.ref(memory)

    def close(_: Any) -> None:
        found = reference()
        if found is not None:
            found.close()
        done.set()

    return close


def _leave_before_fork() -> None:
    """End every lease: what a child sees of it must not become room for its parent's next calls.

    And a child can use gRPC only if no call is in flight; so the streams of blocking clients are
    waited for.
    """
    lent = list(_lent.items())
    for memory, _ in lent:
        memory.close()
    for _, done in lent:
        done.wait(LEAVE_SECONDS)


def _taken(answer: Any, seconds: float) -> tuple[str, mmap.mmap]:
    """The name and the mapping of the memory that an answer to a Lease rpc stands for."""
    if not isinstance(answer, pb2.LeaseResponse):
        raise InternalError("the server ended its stream before it gave a lease")
    try:
        fd = _fetch_descriptor(answer.socket_path, answer.ticket, seconds)
    except OSError as error:  # such as a path that is another one in this process's file system
        raise NotLocalError(f"the shared memory cannot be fetched: {error}") from error
    try:
        return answer.lease_id, map_sealed(fd, answer.byte_count)
    finally:
        os.close(fd)  # the mapping has its own


def _fetch_descriptor(path: str, ticket: bytes, seconds: float) -> int:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(path)
        connection.sendall(ticket)
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 1, socket.MSG_CMSG_CLOEXEC)
    if not descriptors:
        raise NotLocalError("the server does not hand the shared memory to this process")
    return descriptors[0]


def map_sealed(fd: int, byte_count: int) -> mmap.mmap:
    """The memory behind a descriptor, if it has so many bytes for ever.

    Without its seals another process could cut it short, and a read would be a fault of this one.
    Raises InternalError.
    """
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError:  # a file, or something else that cannot be sealed
        seals = 0
    size = os.fstat(fd).st_size
    if seals & _SEALS != _SEALS or size != byte_count:
        raise InternalError(
            f"the server promised {byte_count} bytes of sealed memory; these are {size} bytes "
            f"with seals {seals:#x}"
        )
    return mmap.mmap(fd, size)


os.register_at_fork(before=_leave_before_fork)
