"""What health says of the whole server, as the workers of its devices come and go."""

import asyncio

from convserve_server.services.health import NOT_SERVING, SERVING, follow

from tests.unit.server.workers.harness import in_loop


class Pool:
    """Workers that are able, or not, as the test says."""

    def __init__(self):
        self._able, self._unable = asyncio.Event(), asyncio.Event()
        self.turn(is_able=True)

    @property
    def is_able(self):
        return self._able.is_set()

    def turn(self, *, is_able):
        now, before = (self._able, self._unable) if is_able else (self._unable, self._able)
        before.clear()
        now.set()

    async def until_able(self):
        await self._able.wait()

    async def until_unable(self):
        await self._unable.wait()


class Servicer:
    """Notes what is said of the server."""

    def __init__(self):
        self.said = asyncio.Queue()

    async def set(self, service, status):
        if not service:
            self.said.put_nowait(status)


@in_loop
async def test_a_server_serves_as_long_as_one_device_can_compute():
    pools, servicer = [Pool(), Pool()], Servicer()
    following = asyncio.create_task(follow(pools, servicer))
    pools[0].turn(is_able=False)
    await asyncio.wait((following,), timeout=0)
    pools[0].turn(is_able=True)  # the other was able all the time
    pools[1].turn(is_able=False)
    await asyncio.wait((following,), timeout=0)
    assert servicer.said.empty()
    pools[0].turn(is_able=False)
    assert await servicer.said.get() == NOT_SERVING
    pools[1].turn(is_able=True)
    assert await servicer.said.get() == SERVING
    following.cancel()
