"""A lease of shared memory without the client library, for honest callers and wicked ones."""

from __future__ import annotations

import mmap
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Self

import grpc
from convserve.errors import ConvserveError
from convserve.v1 import compute_service_pb2 as pb2

from tests.wire import TIMEOUT_SECONDS, error_of, method


def fetch(path: str, ticket: bytes) -> list[int]:
    """The descriptors that the side door gives for a ticket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_SECONDS)
        connection.connect(path)
        connection.sendall(ticket)
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 4, socket.MSG_CMSG_CLOEXEC)
    return list(descriptors)


class Lessee:
    """One who has a lease, until the end of its block. Raises what the server refuses it with."""

    def __init__(self, channel: grpc.Channel, byte_count: int, *more: pb2.LeaseRequest) -> None:
        self._ended = threading.Event()
        self._responses: Any = method(channel, "Lease")(self._requests(byte_count, more))
        try:
            self.answer: pb2.LeaseResponse = next(self._responses)
        except grpc.RpcError as error:
            self._ended.set()
            raise error_of(error) from None

    def _requests(
        self, byte_count: int, more: Sequence[pb2.LeaseRequest]
    ) -> Iterator[pb2.LeaseRequest]:
        yield pb2.LeaseRequest(byte_count=byte_count)
        yield from more
        self._ended.wait(TIMEOUT_SECONDS)

    def map(self) -> mmap.mmap:
        """The memory itself."""
        [self.fd] = fetch(self.answer.socket_path, self.answer.ticket)
        return mmap.mmap(self.fd, self.answer.byte_count)

    def outcome(self) -> ConvserveError | None:
        """How the stream ends: None if well."""
        try:
            assert list(self._responses) == []
        except grpc.RpcError as error:
            return error_of(error)
        return None

    def leave(self) -> None:
        """End the stream, and wait until the server has ended it too."""
        self._ended.set()
        assert self.outcome() is None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._responses.cancel()
