"""Lease: memory that a caller on the same machine shares with the server."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Self

from attrs import frozen
from convserve.errors import (
    InvalidArgumentError,
    LeaseNotFoundError,
    NotLocalError,
    OverloadedError,
    TooLargeError,
)
from convserve.v1 import compute_service_pb2 as pb2

from convserve_server.scheduling.gate import Reservation
from convserve_server.services.calls import Call
from convserve_server.services.handover import Handover
from convserve_server.workers.segments import Segment, whole_pages

MAX_LEASES = 64
RETRY_SECONDS = 1.0  # what a caller is told to wait while others have the memory
MAX_SHOWN_CHARS = 40  # of an id that nobody knows


Reserve = Callable[[int], Awaitable[Reservation]]


@frozen(eq=False)
class Lease:
    """A caller's memory, under the name that its requests give it. Leaving its block ends it."""

    id: str
    segment: Segment
    store: LeaseStore

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.store.end(self)


class LeaseStore:
    """The leases. All together have at most `max_bytes`.

    Their bytes count against the tensor pool, by `reserve`, until the last job that uses them has
    ended; `on_free` is then called with the segment's number. Used from one event loop.
    """

    def __init__(
        self, reserve: Reserve, max_bytes: int, on_free: Callable[[int], None] = lambda _: None
    ) -> None:
        self._max_bytes = max_bytes
        self.claimed_bytes = 0
        self._reserve = reserve
        self._on_free = on_free
        self._numbers = itertools.count(1)
        self._claims = 0  # leases, and those that are being made or still used
        self._leases: dict[str, Lease] = {}

    def __len__(self) -> int:
        return len(self._leases)

    async def create(self, byte_count: int) -> Lease:
        """A lease of `byte_count` bytes, rounded up to whole pages. Use it as a context manager.

        Raises InvalidArgumentError, TooLargeError, OverloadedError, and what `reserve` raises.
        """
        size = self._claim(byte_count)
        try:
            async with asyncio.timeout(0):  # who waits for the pool holds up the calls behind
                reservation = await self._reserve(size)
        except TimeoutError:
            self._unclaim(size)
            raise _full(size) from None
        except BaseException:
            self._unclaim(size)
            raise
        number = next(self._numbers)
        try:
            segment = Segment(number, size, partial(self._freed, number, size, reservation))
        except OSError as error:
            reservation.release()
            self._unclaim(size)
            raise OverloadedError(
                f"no memory of {size} bytes can be shared now: {error.strerror}",
                retry_delay=RETRY_SECONDS,
            ) from error
        lease = Lease(f"l-{secrets.token_hex(8)}", segment, self)
        self._leases[lease.id] = lease
        return lease

    @contextmanager
    def use(self, lease_id: str) -> Iterator[Segment]:
        """The memory of a lease, kept until the block ends. Raises LeaseNotFoundError."""
        lease = self._leases.get(lease_id)
        if lease is None:
            raise LeaseNotFoundError(
                f"{lease_id[:MAX_SHOWN_CHARS]!r} is no lease: its stream has ended, or the server "
                "started anew; ask for another one",
                field="shared.lease_id",
            )
        lease.segment.hold()
        try:
            yield lease.segment
        finally:
            lease.segment.drop()

    def end(self, lease: Lease) -> None:
        """Take no more calls for it. Its memory goes when those in progress have ended."""
        del self._leases[lease.id]
        lease.segment.release()

    def _claim(self, byte_count: int) -> int:
        """Count a lease in before it is there, so that no two take the same room; its size."""
        if byte_count < 1:
            raise InvalidArgumentError(
                f"{byte_count} bytes cannot be shared; ask for 1 or more",
                field="byte_count",
                metadata={"value": byte_count, "limit": 1},
            )
        size = whole_pages(byte_count)
        numbers = {"planned_bytes": size, "limit_bytes": self._max_bytes}
        if size > self._max_bytes:
            raise TooLargeError(
                f"a lease of {size} bytes is above the limit of {self._max_bytes}; ask for less, "
                "or send the tensors",
                field="byte_count",
                metadata=numbers,
            )
        if self.claimed_bytes + size > self._max_bytes or self._claims >= MAX_LEASES:
            raise OverloadedError(
                f"{self._claims} leases of {MAX_LEASES} have {self.claimed_bytes} of "
                f"{self._max_bytes} bytes, which leaves no room for {size}; send the tensors, or "
                f"retry after {RETRY_SECONDS:g} s",
                metadata=numbers | {"claimed_bytes": self.claimed_bytes, "leases": self._claims},
                retry_delay=RETRY_SECONDS,
            )
        self.claimed_bytes += size
        self._claims += 1
        return size

    def _unclaim(self, size: int) -> None:
        self.claimed_bytes -= size
        self._claims -= 1

    def _freed(self, number: int, size: int, reservation: Reservation) -> None:
        reservation.release()
        self._unclaim(size)
        self._on_free(number)


def _full(size: int) -> OverloadedError:
    return OverloadedError(
        f"the tensor pool has no room for a lease of {size} bytes now; send the tensors, or retry "
        f"after {RETRY_SECONDS:g} s",
        metadata={"planned_bytes": size},
        retry_delay=RETRY_SECONDS,
    )


class LeaseService:
    """The rpc of shared memory. Without a handover there is none."""

    def __init__(self, store: LeaseStore, handover: Handover | None) -> None:
        self._store = store
        self._handover = handover

    async def lease(self, _: Call, call: Call) -> None:
        """Answer once, and keep the memory until the caller's stream ends."""
        request = await call.read()
        handover = self._handover_for(call)
        if request is None:
            raise InvalidArgumentError("say how many bytes to share", field="byte_count")
        with (
            await self._store.create(request.byte_count) as lease,
            handover.offer(lease.segment.fd) as ticket,
        ):
            await call.write(
                pb2.LeaseResponse(
                    lease_id=lease.id,
                    byte_count=lease.segment.byte_count,
                    socket_path=str(handover.path),
                    ticket=ticket,
                )
            )
            await call.wait_closed()

    def _handover_for(self, call: Call) -> Handover:
        """Where this caller can fetch a descriptor. Raises NotLocalError."""
        if self._handover is None:
            raise NotLocalError("this server shares no memory; send the tensors")
        if not call.peer.startswith("unix:"):
            raise NotLocalError(
                "memory is shared with callers through a Unix socket only; send the tensors"
            )
        return self._handover
