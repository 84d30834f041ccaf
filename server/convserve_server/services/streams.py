"""The chunked side of Run and LoadModel: a header, then tensors straight into their places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from convserve.chunks import Assembler, Chunk, chunk_messages
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


async def receive_tensors(call: Call, placements: Sequence[Placement]) -> None:
    """Put every declared byte in its place, to the end of the caller's stream.

    Raises ByteCountError when there are fewer or more, ChecksumError, InvalidArgumentError.
    """
    specs = [placement.spec for placement in placements]
    assembler = Assembler(specs, [placement.view() for placement in placements])
    while (message := await call.read()) is not None:
        if not isinstance(message, Chunk):
            raise InvalidArgumentError(
                "only chunks may follow the header, and there is one header", field="header"
            )
        assembler.write(message)
    assembler.finish()


def result_messages(placements: Iterable[Placement]) -> Iterator[bytes]:
    """The results in chunks, each copied out of its place when it is asked for."""
    return chunk_messages([placement.view() for placement in placements])
