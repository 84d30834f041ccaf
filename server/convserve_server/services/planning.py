"""PlanningService: answers about networks, without touching a tensor."""

from __future__ import annotations

from convserve.codec import from_message, to_message
from convserve.errors import error_at
from convserve.plans import Device, RunOptions
from convserve.services import serialize
from convserve.tensors import spec_from_message
from convserve.v1 import device_pb2, planning_service_pb2

from convserve_server.cache import ByteCache
from convserve_server.planning.planner import plan_network
from convserve_server.planning.program import Advisor
from convserve_server.services.bounds import MAX_INPUTS, check_length
from convserve_server.services.calls import Call
from convserve_server.services.headers import read_aside, read_network
from convserve_server.services.requests import RequestReader

CACHE_BYTES = 32 << 20


class PlanningService:
    """The rpcs of `convserve.v1.PlanningService`."""

    def __init__(
        self, advisor: Advisor, reader: RequestReader, devices: tuple[Device, ...]
    ) -> None:
        self._advisor = advisor
        self._reader = reader
        self._devices = devices
        self._plans: ByteCache[bytes, bytes] = ByteCache(CACHE_BYTES)

    async def plan(self, request: planning_service_pb2.PlanRequest, call: Call) -> bytes:
        """Plan a network, or look the plan up. Returns a PlanResponse as it is sent."""
        key = request.SerializeToString(deterministic=True)
        response = self._plans.get(key)
        if response is None:
            response = await read_aside(len(key), self._plan, request)
            call.end_stage("compute")
            self._plans.put(key, response, len(key) + len(response))
        return response

    def _plan(self, request: planning_service_pb2.PlanRequest) -> bytes:
        check_length(request.inputs, MAX_INPUTS, "inputs", "inputs")
        options = from_message(request, RunOptions)
        self._reader.check_device(options.device)
        inputs = []
        for index, message in enumerate(request.inputs):
            with error_at(f"inputs[{index}]"):
                inputs.append(spec_from_message(message))
        plan = plan_network(
            read_network(request.network),
            inputs,
            advisor=self._advisor,
            device=options.device or self._devices[0].name,
            layout=options.layout,
            explain=request.explain,
        )
        response = planning_service_pb2.PlanResponse()
        to_message(plan, response.plan)
        return serialize(response)

    async def list_devices(
        self, request: planning_service_pb2.ListDevicesRequest, call: Call
    ) -> planning_service_pb2.ListDevicesResponse:
        """Every device, the default first."""
        response = planning_service_pb2.ListDevicesResponse()
        for device in self._devices:
            response.devices.append(to_message(device, device_pb2.Device()))
        return response
