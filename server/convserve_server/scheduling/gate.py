"""The door to the arena: calls wait here until there is memory for their tensors."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial

import attrs

from convserve_server.scheduling.admission import (
    Admission,
    Admit,
    Cancel,
    Command,
    Continue,
    Defer,
    Event,
    Release,
    Request,
)
from convserve_server.workers.arena import Arena, NoRoomError, Region, aligned


@attrs.define(eq=False)
class _Visitor:
    """One call at the door, and the region that it waits for."""

    request: Request  # whose bytes are rounded up to what the arena takes
    byte_count: int
    lasting: bool
    region: asyncio.Future[Region]


class Gate:
    """Hands out regions of the arena, first come first served. Used from one event loop.

    It also gives freed memory back to the system, in steps between other work of the loop.
    """

    def __init__(self, arena: Arena, *, queue_limit: int = 256) -> None:
        self._arena = arena
        self._admission = Admission(arena.capacity_bytes, queue_limit)
        self._ids = itertools.count(1)
        self._visitors: dict[int, _Visitor] = {}
        self._is_shrinking = False

    @property
    def queue_depth(self) -> int:
        """How many wait."""
        return self._admission.queue_length

    async def reserve(self, byte_count: int, *, lasting: bool = False) -> Region:
        """A region of `byte_count` bytes, once there is room. Release it when done.

        `lasting` regions (weights of models) are put at the arena's far end, so that they do not
        break up the room for calls. Raises TooLargeError if it can never fit, and OverloadedError
        if too many wait. Cancelling leaves nothing.
        """
        request = Request(next(self._ids), aligned(byte_count))
        future = asyncio.get_running_loop().create_future()
        visitor = _Visitor(request, byte_count, lasting, future)
        self._visitors[request.id] = visitor
        try:
            self._tell(request)
            if not visitor.region.done():
                await asyncio.wait((visitor.region,))  # which leaves it alone when cancelled
            return visitor.region.result()
        except asyncio.CancelledError:
            self._withdraw(visitor)
            raise
        finally:
            del self._visitors[request.id]

    def _withdraw(self, visitor: _Visitor) -> None:
        """The visitor has gone: out of the queue, or with a region that came too late."""
        if not visitor.region.done():
            self._tell(Cancel(visitor.request.id))
        elif visitor.region.exception() is None:
            visitor.region.result().release()

    def _tell(self, event: Event) -> None:
        """Tell the machine what happened, and do what it says until it says nothing more."""
        while commands := self._admission.handle(event):
            for command in commands:
                event = self._obey(command)

    def _obey(self, command: Command) -> Event:
        """Carry out a command; returns what to tell the machine next."""
        visitor = self._visitors[command.id]
        if not isinstance(command, Admit):
            visitor.region.set_exception(command.error)
            return Continue()
        try:
            region = self._arena.allocate(
                visitor.byte_count,
                lasting=visitor.lasting,
                on_free=partial(self._freed, command.id),
            )
        except NoRoomError:
            return Defer(command.id)
        visitor.region.set_result(region)
        return Continue()

    def _freed(self, request_id: int) -> None:
        self._tell(Release(request_id))
        if not self._is_shrinking:
            self._is_shrinking = True
            asyncio.get_running_loop().call_soon(self._shrink)

    def _shrink(self) -> None:
        self._is_shrinking = self._arena.shrink() > 0
        if self._is_shrinking:
            asyncio.get_running_loop().call_soon(self._shrink)
