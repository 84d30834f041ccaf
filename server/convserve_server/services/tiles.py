"""PlanningService's answer about networks that are run in tiles."""

from __future__ import annotations

import msgspec
from convserve.codec import to_message
from convserve.services import serialize
from convserve.v1.tiles_pb2 import PlanTilesRequest, PlanTilesResponse

from convserve_server.planners.pool import PlannerPool
from convserve_server.planning.tiling.tile_plans import plan_tiles
from convserve_server.services.calls import Call
from convserve_server.services.headers import read_inputs, read_network
from convserve_server.services.plans import Host, engine_advisor


class TilesTask(msgspec.Struct, frozen=True):
    """A serialised PlanTilesRequest for a planner process."""

    host: Host
    request: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(TilesTask)


class TilesService:
    """The rpc PlanTiles of `convserve.v1.PlanningService`; grids are looked for in `planners`."""

    def __init__(self, host: Host, planners: PlannerPool) -> None:
        self._host = host
        self._planners = planners

    async def plan_tiles(self, request: PlanTilesRequest, call: Call) -> bytes:
        """Plan the tiles of a network. Returns a PlanTilesResponse as it is sent."""
        task = TilesTask(self._host, request.SerializeToString())
        response = await self._planners.run("plan_tiles", _encoder.encode(task))
        call.end_stage("compute")
        return response


def tiles_task(data: bytes) -> bytes:
    """A PlanTilesResponse, as a task."""
    task = _decoder.decode(data)
    request = PlanTilesRequest.FromString(task.request)
    plan = plan_tiles(
        read_network(request.network),
        read_inputs(request.inputs),
        request.memory_limit_bytes,
        advisor=engine_advisor(task.host.engine, task.host.threads),
        axes=tuple(request.axes),
        layers=request.layers,
    )
    response = PlanTilesResponse()
    to_message(plan, response.plan)
    return serialize(response)
