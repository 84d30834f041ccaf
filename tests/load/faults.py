"""What callers do to a server: cancel, stay idle, stop reading, come in crowds, die."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from random import Random
from typing import Any

import convserve_client as cs
import grpc
import grpc.aio
import numpy as np
from convserve.layers import ReLU
from convserve.tensors import Array

from tests.wire import header_of, method, stream

TASKS = 32
LARGE_SHARE = 1 / 8  # of the calls that are cancelled: these stream
SMALL = np.ones((1, 3, 32, 32), np.float32)
LARGE = np.ones((1, 3, 512, 512), np.float32)
LONG = np.ones((16, 1024, 1024), np.float32)  # 64 MiB: more than any buffer on the way
WEIGHT = np.ones((8, 3, 3, 3), np.float32)
CALL_FOR_EVER = """
import sys, numpy, convserve_client
client = convserve_client.connect(sys.argv[1])
x = numpy.ones((1, 3, 512, 512), "f4")
print("calls", flush=True)
while True:
    client.conv(x, numpy.ones((8, 3, 3, 3), "f4"))
"""


async def cancel_calls(address: str, count: int, seed: int) -> int:
    """Begin `count` calls and cancel each at a random moment. Returns how many had not ended."""
    random, loop = Random(seed), asyncio.get_running_loop()
    async with await cs.connect_async(address, max_retries=0) as client:
        start = loop.time()
        await asyncio.gather(*(client.conv(SMALL, WEIGHT) for _ in range(TASKS)))
        usual = loop.time() - start  # of a call among so many

        async def repeat(count: int) -> int:
            cancelled = 0
            for _ in range(count):
                x = LARGE if random.random() < LARGE_SHARE else SMALL
                call = asyncio.ensure_future(client.conv(x, WEIGHT))
                loop.call_later(random.uniform(0, 1.5 * usual), call.cancel)
                await asyncio.wait([call])
                cancelled += call.cancelled() or _fails(call)
            return cancelled

        shares = [count // TASKS + (n < count % TASKS) for n in range(TASKS)]
        return sum(await asyncio.gather(*map(repeat, shares)))


def _fails(call: asyncio.Future[Any]) -> bool:
    """Raise the error of a call that has ended with one."""
    call.result()
    return False


def expire_calls(address: str, count: int, seed: int) -> int:
    """Calls with hardly any time for 3 MiB there and 8 back. Returns how many ran out of it."""
    random, expired = Random(seed), 0
    with cs.connect(address, max_retries=0) as client:
        for _ in range(count):
            try:
                client.conv(LARGE, WEIGHT, timeout=random.uniform(0.001, 0.01))
            except cs.DeadlineExceededError:
                expired += 1
    return expired


@asynccontextmanager
async def idle_connections(address: str, count: int) -> AsyncIterator[None]:
    """So many connections that nobody uses."""
    options = [("grpc.use_local_subchannel_pool", 1)]  # else all share one connection
    channels = [grpc.aio.insecure_channel(address, options) for _ in range(count)]
    try:
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        yield
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))


@contextmanager
def stopped_reader(address: str) -> Iterator[Any]:
    """A caller of Run that has read one chunk of 64 MiB and reads no more; yields its responses."""
    with grpc.insecure_channel(address) as channel:
        requests = stream(header_of([ReLU()], {"input": LONG}), [LONG])
        responses = method(channel, "Run")(requests, timeout=60)
        for word in ("accepted", "chunk"):
            assert next(responses).WhichOneof("message") == word
        yield responses
        responses.cancel()


async def crowd(address: str, count: int, x: Array = SMALL) -> Counter[str]:
    """So many calls at once that are not repeated. Returns how many ended how."""

    async def call(client: cs.AsyncClient) -> str:
        try:
            await client.conv(x, WEIGHT)
        except cs.OverloadedError:
            return "refused"
        return "done"

    async with await cs.connect_async(address, max_retries=0) as client:
        return Counter(await asyncio.gather(*(call(client) for _ in range(count))))


def kill_caller(address: str) -> None:
    """A process that calls and is killed while it does."""
    command = [sys.executable, "-c", CALL_FOR_EVER, address]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with cs.connect(address) as client:
            for _ in range(10):
                client.conv(SMALL, WEIGHT)  # meanwhile it has begun
        process.kill()
