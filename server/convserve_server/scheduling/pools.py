"""The workers of all devices together: what concerns each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from convserve_server.scheduling.pool import WorkerPool


class Pools:
    """The pools of a server by the names of their devices."""

    def __init__(self, pools: Mapping[str, WorkerPool]) -> None:
        self._pools = dict(pools)

    @property
    def queue_depth(self) -> int:
        """How many jobs wait."""
        return sum(pool.queue_depth for pool in self._pools.values())

    @property
    def restarts(self) -> dict[str, int]:
        """How many children have been replaced on each device."""
        return {name: pool.restarts for name, pool in self._pools.items()}

    async def forget(self, key: str) -> None:
        """As `WorkerPool.forget`, of all."""
        await asyncio.gather(*(pool.forget(key) for pool in self._pools.values()))

    def detach(self, segment: int) -> None:
        """As `WorkerPool.detach`, of all."""
        for pool in self._pools.values():
            pool.detach(segment)

    async def stop(self) -> None:
        """Stop all of them, started or not."""
        await asyncio.gather(*(pool.stop() for pool in self._pools.values()))
