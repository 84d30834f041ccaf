"""The chunked side of Run and LoadModel: tensors straight into their places, and out of them."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from typing import Any

from convserve.chunks import Assembler, Chunk, part_messages
from convserve.errors import InvalidArgumentError

from convserve_server.services.calls import Call
from convserve_server.workers.arena import Placement


async def read_header(call: Call) -> Any:
    """The header that must open the stream. Raises InvalidArgumentError, field `header`."""
    message = await call.read()
    if isinstance(message, Chunk) or message is None or not message.HasField("header"):
        found = "a chunk" if isinstance(message, Chunk) else "nothing"
        raise InvalidArgumentError(
            f"the stream must begin with a header, but {found} came first", field="header"
        )
    return message.header


class Arrival:
    """Tensors that are put in their places as they come; who needs a part of them waits for it.

    Of those whose positions are in `there`, nothing comes.
    """

    def __init__(self, placements: Sequence[Placement], there: Container[int] = ()) -> None:
        self._assembler = Assembler(
            [placement.spec for placement in placements],
            [
                memoryview(b"") if position in there else placement.view()
                for position, placement in enumerate(placements)
            ],
        )
        self._needed: Sequence[int] = ()
        self._has_come: asyncio.Future[None] | None = None

    async def receive(self, call: Call) -> None:
        """Put every declared byte in its place, to the end of the caller's stream.

        Raises ByteCountError when there are fewer or more, ChecksumError, InvalidArgumentError.
        """
        while (message := await call.read()) is not None:
            if not isinstance(message, Chunk):
                raise InvalidArgumentError(
                    "only chunks may follow the header, and there is one header", field="header"
                )
            self._assembler.write(message)
            self._wake()
        self._assembler.finish()

    async def until(self, needed: Sequence[int]) -> None:
        """Wait until so many bytes of each tensor have come. One waits at a time."""
        if not self._is_there(needed):
            self._needed = needed
            self._has_come = asyncio.get_running_loop().create_future()
            await self._has_come

    def _wake(self) -> None:
        if self._has_come is None or self._has_come.done():  # done too if its waiter was cancelled
            return
        if self._is_there(self._needed):
            self._has_come.set_result(None)

    def _is_there(self, needed: Sequence[int]) -> bool:
        return all(
            count >= least for count, least in zip(self._assembler.received, needed, strict=True)
        )


class Departure:
    """Results that are sent row by row, as they are made."""

    def __init__(self, placements: Sequence[Placement], rows: int) -> None:
        self._views = [placement.view() for placement in placements]
        self._rows = rows
        self._made: asyncio.Queue[int] = asyncio.Queue()  # one entry for each piece of the work

    def add(self, rows: int) -> None:
        """The first `rows` rows of every result are there."""
        self._made.put_nowait(rows)

    async def send(self, call: Call) -> None:
        """Send everything, and return when all rows have been sent."""
        sent = 0
        while sent < self._rows:
            made = await self._made.get()
            for tensor, view in enumerate(self._views):
                start, stop = (len(view) * rows // self._rows for rows in (sent, made))
                for message in part_messages(tensor, view, start, stop):
                    await call.write(message)
            sent = made
