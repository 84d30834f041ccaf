"""What the standard health service says of each of convserve's services."""

from __future__ import annotations

from collections.abc import Iterable

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


async def follow(pool: WorkerPool, servicer: health.aio.HealthServicer) -> None:
    """Say that nothing is computed for as long as no worker can be started. Plans need none."""
    while True:
        await pool.until_unable()
        await set_health(servicer, NOT_SERVING, COMPUTING)
        await pool.until_able()
        await set_health(servicer, SERVING, COMPUTING)
