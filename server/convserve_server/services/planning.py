"""PlanningService: answers about networks, without touching a tensor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from convserve.codec import to_message
from convserve.v1 import device_pb2
from convserve.v1.planning_service_pb2 import ListDevicesRequest, ListDevicesResponse, PlanRequest

from convserve_server.cache import ByteCache
from convserve_server.planners.offers import Collection, OfferDesk
from convserve_server.planners.pool import PlannerPool
from convserve_server.planning.devices import profiles
from convserve_server.planning.devices.properties import device_properties
from convserve_server.services.calls import Call
from convserve_server.services.headers import READ_INLINE_BYTES
from convserve_server.services.plans import (
    asks_cudnn,
    decode_convolutions,
    encode_convolutions,
    encode_task,
    make_plan,
    wanted_convolutions,
)
from convserve_server.services.targets import Targets

CACHE_BYTES = 32 << 20
# About 500 layers. A thread that plans them holds the loop up by 10 ms now and then, and one that
# plans 4000 by 100 ms; the way to a process and back takes 1 ms.
PLAN_ASIDE_BYTES = 16 << 10


class PlanningService:
    """The rpcs of `convserve.v1.PlanningService`.

    Small plans are made here, longer ones in a thread, and what would hold the loop up in one of
    the processes of `planners`; `offers` asks cuDNN.
    """

    def __init__(
        self,
        targets: Targets,
        planners: PlannerPool,
        offers: OfferDesk,
    ) -> None:
        self._targets = targets
        self._planners = planners
        self._offers = offers
        self._thread = asyncio.Lock()  # several would share one lock of the interpreter with us
        self._plans: ByteCache[bytes, bytes] = ByteCache(CACHE_BYTES)

    async def plan(self, request: PlanRequest, call: Call) -> bytes:
        """Plan a network, or look the plan up. Returns a PlanResponse as it is sent."""
        key = request.SerializeToString(deterministic=True)
        response = self._plans.get(key)
        if response is None:
            self._targets.check(request.device, profiles())
            kernels = await self._collect(request, key) if asks_cudnn(request) else None
            response = await self._plan(request, key, kernels)
            call.end_stage("compute")
            if kernels is None or kernels.lasts:
                self._plans.put(key, response, len(key) + len(response))
        return response

    async def list_devices(self, request: ListDevicesRequest, call: Call) -> ListDevicesResponse:
        """Every device, the default first; those that can only be planned for last."""
        response = ListDevicesResponse()
        known = (profile.device() for profile in profiles().values())
        for device in (*self._targets.devices, *known):
            response.devices.append(to_message(device, device_pb2.Device()))
        return response

    async def _plan(self, request: PlanRequest, key: bytes, kernels: Collection | None) -> bytes:
        host = self._targets.host(request.device)
        answers = None if kernels is None else kernels.answers
        return await self._aside(
            len(key),
            "plan",
            lambda: encode_task(host, key, answers),
            lambda: make_plan(request, host, answers),
        )

    async def _collect(self, request: PlanRequest, key: bytes) -> Collection:
        """What cuDNN offers for the convolutions of the network."""
        convolutions = await self._aside(
            len(key),
            "plan_convolutions",
            lambda: encode_task(self._targets.host(request.device), key, None),
            lambda: encode_convolutions(wanted_convolutions(request)),
        )
        return await self._offers.collect(
            decode_convolutions(convolutions), device_properties(request.device)
        )

    async def _aside(
        self, size: int, task: str, encode: Callable[[], bytes], make: Callable[[], bytes]
    ) -> bytes:
        """What `make` gives for a request of `size` bytes, without holding the loop up.

        In a process it is what `task` gives for what `encode` gives.
        """
        if size <= READ_INLINE_BYTES:
            return make()
        if size > PLAN_ASIDE_BYTES or self._thread.locked():
            return await self._planners.run(task, encode())
        async with self._thread:
            return await asyncio.to_thread(make)
