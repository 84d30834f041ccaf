"""The door to the arena: calls wait here until there is memory for their tensors."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import attrs
from convserve.errors import ConvserveError
from convserve.tensors import aligned

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
from convserve_server.workers.arena import Arena, NoRoomError, Region


@attrs.define(eq=False)
class Reservation:
    """Bytes of the budget, without a place in the arena."""

    _on_free: Callable[[], None] | None

    def release(self) -> None:
        """Give them back. Idempotent."""
        if self._on_free is not None:
            on_free, self._on_free = self._on_free, None
            on_free()


Grant: TypeAlias = Region | Reservation


@attrs.define(eq=False)
class _Visitor:
    """One call at the door. `take` gets what it wants, told whom to tell of its end.

    It then has the grant or the error; `arrival` is there if it had to wait for them.
    """

    take: Callable[[Callable[[], None]], Grant]
    grant: Grant | None = None
    error: ConvserveError | None = None
    arrival: asyncio.Future[None] | None = None

    def settle(self) -> None:
        """Wake it, if it waits: it has the grant or the error."""
        if self.arrival is not None and not self.arrival.done():
            self.arrival.set_result(None)


class Gate:
    """Hands out regions of the arena, first come first served. Used from one event loop.

    It also gives freed memory back to the system, in steps between other work of the loop.
    `on_wait` is called when a call would have to wait: it may release memory that can be spared.
    """

    def __init__(self, arena: Arena, *, queue_limit: int = 256) -> None:
        self._arena = arena
        self._admission = Admission(arena.capacity_bytes, queue_limit)
        self._ids = itertools.count(1)
        self._visitors: dict[int, _Visitor] = {}
        self._is_shrinking = False
        self.on_wait: Callable[[], None] = lambda: None

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

        def take(on_free: Callable[[], None]) -> Region:
            return self._arena.allocate(byte_count, lasting=lasting, on_free=on_free)

        region = await self._visit(byte_count, take)
        assert isinstance(region, Region)
        return region

    async def reserve_bytes(self, byte_count: int) -> Reservation:
        """`byte_count` bytes of the budget for memory that is elsewhere; as `reserve`."""
        reservation = await self._visit(byte_count, Reservation)
        assert isinstance(reservation, Reservation)
        return reservation

    async def _visit(self, byte_count: int, take: Callable[[Callable[[], None]], Grant]) -> Grant:
        request = Request(next(self._ids), aligned(byte_count))
        visitor = self._visitors[request.id] = _Visitor(take)
        try:
            self._tell(request)
            if visitor.grant is None and visitor.error is None:
                self.on_wait()
            if visitor.grant is None and visitor.error is None:
                visitor.arrival = asyncio.get_running_loop().create_future()
                await visitor.arrival
        except asyncio.CancelledError:
            if visitor.grant is not None:  # it came too late
                visitor.grant.release()
            elif visitor.error is None:
                self._tell(Cancel(request.id))
            raise
        finally:
            del self._visitors[request.id]
        if visitor.grant is None:
            assert visitor.error is not None
            raise visitor.error
        return visitor.grant

    def _tell(self, event: Event) -> None:
        """Tell the machine what happened, and do what it says until it says nothing more."""
        while commands := self._admission.handle(event):
            for command in commands:
                event = self._obey(command)
            if not self._admission.queue_length and isinstance(event, Continue):
                return  # nobody else can be admitted

    def _obey(self, command: Command) -> Event:
        """Carry out a command; returns what to tell the machine next."""
        visitor = self._visitors[command.id]
        if not isinstance(command, Admit):
            visitor.error = command.error
        else:
            try:
                visitor.grant = visitor.take(partial(self._freed, command.id))
            except NoRoomError:
                return Defer(command.id)
        visitor.settle()
        return Continue()

    def _freed(self, request_id: int) -> None:
        self._tell(Release(request_id))
        if self._arena.excess_bytes and not self._is_shrinking:
            self._is_shrinking = True
            asyncio.get_running_loop().call_soon(self._shrink)

    def _shrink(self) -> None:
        self._is_shrinking = self._arena.shrink() > 0
        if self._is_shrinking:
            asyncio.get_running_loop().call_soon(self._shrink)
