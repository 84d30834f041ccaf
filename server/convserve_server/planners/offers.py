"""What cuDNN offers for convolutions, asked of planner processes: each thing once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec
from attrs import frozen
from convserve.errors import ConvserveError, UnsupportedError

from convserve_server.cache import ByteCache
from convserve_server.observability.logs import fields
from convserve_server.planners.cudnn.messages import OfferRequest, decode_offer, encode_request
from convserve_server.planners.flights import Flights
from convserve_server.planners.pool import PlannerPool, TaskError
from convserve_server.planning.devices.properties import DeviceProperties
from convserve_server.planning.kernels import Convolution, Offer

CACHE_BYTES = 32 << 20
OBJECT_BYTES = 5  # about what a decoded offer takes in Python objects per byte of its own
MAX_CONVOLUTIONS = 1024  # different ones of one plan; each takes cuDNN about 15 ms

_log = logging.getLogger(__name__)


@frozen
class Collection:
    """What was said to each convolution; it `lasts` unless a process failed to answer."""

    answers: dict[Convolution, Offer | str]
    lasts: bool


class OfferDesk:
    """Asks the processes of `pool`, several at once, and remembers what they said.

    Who asks for what is being asked already waits for that. Used from one event loop.
    """

    def __init__(self, pool: PlannerPool, at_once: int) -> None:
        self._pool = pool
        self._at_once = at_once
        self._known: ByteCache[bytes, Offer | str] = ByteCache(CACHE_BYTES)
        self._flights: Flights[bytes, Offer | str] = Flights()

    async def collect(
        self, convolutions: Sequence[Convolution], properties: DeviceProperties
    ) -> Collection:
        """An offer for each convolution, or why there is none.

        Once a process has failed, no more is asked: a plan takes the time of one failure at most.
        """
        answers: dict[Convolution, Offer | str] = {}
        turns = asyncio.Semaphore(self._at_once)
        failures: list[str] = []

        async def ask(convolution: Convolution) -> None:
            async with turns:
                if failures:
                    answers[convolution] = failures[0]
                    return
                try:
                    answers[convolution] = await self._answer(convolution, properties)
                except (ConvserveError, TaskError) as error:
                    failures.append(_failure(error))
                    answers[convolution] = failures[0]

        async with asyncio.TaskGroup() as group:
            for convolution in convolutions[:MAX_CONVOLUTIONS]:
                group.create_task(ask(convolution))
        beyond = f"cuDNN is asked about {MAX_CONVOLUTIONS} different convolutions of a plan at most"
        answers |= dict.fromkeys(convolutions[MAX_CONVOLUTIONS:], beyond)
        return Collection(answers, lasts=not failures)

    async def _answer(self, convolution: Convolution, properties: DeviceProperties) -> Offer | str:
        request = encode_request(OfferRequest(properties, convolution))
        known = self._known.get(request)
        if known is not None:
            return known
        return await self._flights.join(request, lambda: self._ask(request))

    async def _ask(self, request: bytes) -> Offer | str:
        try:
            response = await self._pool.run("cudnn_offer", request)
        except UnsupportedError as error:  # it will be so the next time
            self._known.put(request, error.message, len(request) + len(error.message))
            return error.message
        try:
            offer = decode_offer(response)
        except msgspec.MsgspecError as error:
            raise TaskError(f"an offer that cannot be read: {error}") from error
        self._known.put(request, offer, len(request) + (1 + OBJECT_BYTES) * len(response))
        return offer


def _failure(error: ConvserveError | TaskError) -> str:
    """Why nothing is known, as a plan says it; the story of a fault goes to the log."""
    if isinstance(error, TaskError):
        _log.error("fault of a task", extra=fields(story=str(error)))
        return "the process that asks cuDNN has a fault, which is in the server's log"
    return f"the process that asks cuDNN gave no answer: {error.message}"
