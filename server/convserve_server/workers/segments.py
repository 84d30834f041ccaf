"""Memory that one caller shares: a sealed file of its own, so that none sees the others' tensors.

The front makes it. Workers are sent its descriptor over a socket beside that of the frames, before
the first frame that names it, and map it when they come to that frame.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from convserve_server.workers.memory import Owned, sealed_memory

_HEAD = struct.Struct("<QQ")  # the segment's number and its size


class Segment(Owned):
    """Sealed memory of its own, in whole pages. `number` is its name among the front's segments.

    `on_free` is called when the descriptor has been closed: nobody uses it any more. Raises OSError
    when there is no memory or no descriptor to be had.
    """

    def __init__(self, number: int, byte_count: int, on_free: Callable[[], None]) -> None:
        super().__init__(whole_pages(byte_count))
        self.segment = number
        self.fd = sealed_memory("convserve-lease", self.byte_count)
        self._on_free = on_free
        self._mapping: mmap.mmap | None = None

    def view(self, offset: int = 0, length: int | None = None) -> memoryview:
        """`length` writable bytes from `offset` on. The caller may change them at any time."""
        length = self.byte_count - offset if length is None else length
        self._check_inside(offset, length)
        if self._mapping is None:  # most segments are for workers alone
            self._mapping = mmap.mmap(self.fd, self.byte_count)
        return memoryview(self._mapping)[offset : offset + length]

    def _free(self) -> None:
        os.close(self.fd)
        self.fd = -1
        if self._mapping is not None:
            with suppress(BufferError):  # what still views it keeps the mapping
                self._mapping.close()
        self._on_free()


def whole_pages(byte_count: int) -> int:
    """`byte_count` rounded up to whole pages."""
    return -(-byte_count // mmap.PAGESIZE) * mmap.PAGESIZE


def segment_sockets() -> tuple[socket.socket, socket.socket]:
    """The ends of a socket for segments: the front's, which never blocks, and the worker's."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    near.setblocking(False)
    return near, far


def send_segment(connection: socket.socket, segment: Segment) -> None:
    """Send a segment to a worker, once, before the first frame that names it. Raises OSError."""
    head = _HEAD.pack(segment.segment, segment.byte_count)
    socket.send_fds(connection, [head], [segment.fd])


class Segments:
    """The segments that a worker process knows, by number. It owns the socket.

    `attach` is called with all of a segment that has come, and `detach` before it is unmapped.
    """

    def __init__(
        self,
        connection: socket.socket,
        attach: Callable[[memoryview], None] = lambda _: None,
        detach: Callable[[memoryview], None] = lambda _: None,
    ) -> None:
        self._connection = connection
        self._attach, self._detach = attach, detach
        self._mappings: dict[int, mmap.mmap] = {}

    def __len__(self) -> int:
        return len(self._mappings)

    def view(self, number: int) -> memoryview:
        """All of a segment that has been sent, writable. Raises EOFError if the front has gone."""
        while number not in self._mappings:
            self._receive()
        return memoryview(self._mappings[number])

    def forget(self, number: int) -> None:
        """Unmap a segment; what still views it keeps the memory until then."""
        mapping = self._mappings.pop(number)
        self._detach(memoryview(mapping))
        with suppress(BufferError):
            mapping.close()

    def close(self) -> None:
        """Close the socket and unmap everything. Idempotent."""
        self._connection.close()
        for number in list(self._mappings):
            self.forget(number)

    def _receive(self) -> None:
        head, descriptors, _, _ = socket.recv_fds(
            self._connection, _HEAD.size, 1, socket.MSG_CMSG_CLOEXEC
        )
        if not descriptors:
            raise EOFError
        number, byte_count = _HEAD.unpack(head)
        try:
            mapping = self._mappings[number] = mmap.mmap(descriptors[0], byte_count)
        except OSError as error:  # it does not come again: only another process can have it
            raise SystemExit(f"a segment cannot be mapped: {error.strerror}") from error
        finally:
            os.close(descriptors[0])  # the mapping has its own
        self._attach(memoryview(mapping))
