"""GetServerInfo: what the server is and allows."""

from __future__ import annotations

from convserve.codec import to_message
from convserve.servers import ServerInfo
from convserve.v1 import compute_service_pb2 as pb2

from convserve_server.services.calls import Call


class InfoService:
    """The rpc about the server itself."""

    def __init__(self, info: ServerInfo) -> None:
        self._info = info

    async def get_server_info(
        self, message: pb2.GetServerInfoRequest, call: Call
    ) -> pb2.GetServerInfoResponse:
        """What the server is and allows."""
        return to_message(self._info, pb2.GetServerInfoResponse())
