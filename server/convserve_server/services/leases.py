"""Lease: memory that a caller on the same machine shares with the server."""

from __future__ import annotations

from convserve.errors import NotLocalError

from convserve_server.services.calls import Call


class LeaseService:
    """The rpc of shared memory."""

    async def lease(self, _: Call, call: Call) -> None:
        """Refuse: no memory is shared."""
        raise NotLocalError("this server shares no memory; send the tensors")
