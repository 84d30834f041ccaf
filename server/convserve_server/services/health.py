"""What the standard health service says of each of convserve's services."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from convserve.services import METHODS
from grpc_health.v1 import health, health_pb2

from convserve_server.scheduling.pool import WorkerPool

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
COMPUTING = ("", METHODS["Run"].service)  # what needs a worker, and so the server as a whole


async def set_health(
    servicer: health.aio.HealthServicer, status: int, services: Iterable[str]
) -> None:
    """Say this of each of the services; "" is the server as a whole."""
    for service in services:
        await servicer.set(service, status)


async def follow(pools: Sequence[WorkerPool], servicer: health.aio.HealthServicer) -> None:
    """Say that nothing is computed for as long as no worker can be started. Plans need none."""
    while True:
        await _until_unable(pools)
        await set_health(servicer, NOT_SERVING, COMPUTING)
        await _until_able(pools)
        await set_health(servicer, SERVING, COMPUTING)


async def _until_unable(pools: Sequence[WorkerPool]) -> None:
    """Wait until none of the pools can work."""
    while any(pool.is_able for pool in pools):
        for pool in pools:
            await pool.until_unable()


async def _until_able(pools: Sequence[WorkerPool]) -> None:
    """Wait until one of the pools can work."""
    waits = [asyncio.create_task(pool.until_able()) for pool in pools]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
