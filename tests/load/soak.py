"""All faults at random for a long time: `python -m tests.load.soak --seconds 600 --seed 1`.

After each, the server must say that it serves within two seconds, and compute rightly. At the end
nothing may be held that was not held after the first of each. Prints a report; exit code 1 if
something did not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from random import Random

import convserve_client as cs
import grpc
import numpy as np
from attrs import field, frozen
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.load.faults import (
    LARGE,
    SMALL,
    WEIGHT,
    cancel_calls,
    crowd,
    expire_calls,
    idle_connections,
    kill_caller,
    stopped_reader,
)
from tests.load.usage import (
    EXECUTOR_THREADS,
    Usage,
    logged_faults,
    settle,
    tensor_bytes,
    usage_of,
    usage_of_workers,
    worker_pids,
)
from tests.server import RunningServer, start_server
from tests.wire import error_of, method

MIB = 1 << 20
CHECK_SECONDS = 2
GROWTH_MIB = 64
SIZES = (1, 7, 64, 200, 601)
FLAGS = ("--queue-length=64", "--stall-seconds=1", "--tensor-pool-bytes=512MiB")


class BrokenError(Exception):
    """Something did not hold."""


def call_much(server: RunningServer, random: Random) -> None:
    """Calls of many sizes, each result compared with what it must be."""
    with cs.connect(server.address) as client:
        for _ in range(50):
            x = np.full((1, 2, *random.choices(SIZES, k=2)), 3, np.float32)
            y = client.conv(x, np.full((1, 2, 1, 1), random.randint(1, 9), np.float32))
            if not (y == y.flat[0]).all() or y.flat[0] % 6:
                raise BrokenError(f"a result of {x.shape} is wrong")


def cancel(server: RunningServer, random: Random) -> None:
    """Calls that are cancelled at any moment."""
    asyncio.run(cancel_calls(server.address, 200, random.randrange(1 << 30)))


def connect_idly(server: RunningServer, random: Random) -> None:
    """Connections that nobody uses, while others call."""

    async def connect() -> None:
        async with idle_connections(server.address, random.randint(1, 200)):
            await crowd(server.address, 32)

    asyncio.run(connect())


def stop_reading(server: RunningServer, random: Random) -> None:
    """A reader that stops and leaves, while others call."""
    with stopped_reader(server.address):
        asyncio.run(crowd(server.address, random.randint(1, 64)))


def come_in_crowds(server: RunningServer, random: Random) -> None:
    """More calls at once than the queue holds."""
    outcomes = asyncio.run(crowd(server.address, random.randint(100, 600)))
    if not outcomes["done"]:
        raise BrokenError("of a crowd, not one call was served")


def hurry(server: RunningServer, random: Random) -> None:
    """Calls with hardly any time."""
    expire_calls(server.address, 50, random.randrange(1 << 30))


def kill_worker(server: RunningServer, random: Random) -> None:
    """The worker is killed while calls are in it; none may end in another way than WORKER_DIED."""

    async def kill() -> None:
        async with await cs.connect_async(server.address, max_retries=0) as client:
            calls = [asyncio.ensure_future(client.conv(LARGE, WEIGHT)) for _ in range(4)]
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            os.kill(random.choice(worker_pids(server)), signal.SIGKILL)
            for error in await asyncio.gather(*calls, return_exceptions=True):
                if isinstance(error, BaseException) and not isinstance(error, cs.WorkerDiedError):
                    raise error

    asyncio.run(kill())


def die(server: RunningServer, _: Random) -> None:
    """A caller that is killed."""
    kill_caller(server.address)


def send_garbage(server: RunningServer, random: Random) -> None:
    """Bytes that mean nothing; one of hundreds may by chance be a message that lacks everything."""
    with grpc.insecure_channel(server.address) as channel:
        for name in ("RunInline", "Plan"):
            rpc = method(channel, name, raw=True)
            for _ in range(50):
                try:
                    rpc(random.randbytes(random.randint(1, 1000)), timeout=10)
                except grpc.RpcError as error:
                    if not isinstance(error_of(error), cs.InvalidArgumentError):
                        raise BrokenError(f"garbage: {error_of(error)!r}") from error


SCENARIOS: dict[Callable[[RunningServer, Random], None], int] = {
    call_much: 4,
    cancel: 4,
    connect_idly: 2,
    stop_reading: 2,
    come_in_crowds: 4,
    hurry: 2,
    kill_worker: 1,
    die: 1,
    send_garbage: 2,
}


@frozen
class Sample:
    """What the server held after one scenario."""

    seconds: float
    front: Usage
    workers: Usage


@frozen(eq=False)
class Story:
    """What has happened so far."""

    counts: Counter[str] = field(factory=Counter)
    samples: list[Sample] = field(factory=list)
    slowest_check: list[float] = field(factory=lambda: [0.0])


def check(server: RunningServer, story: Story) -> None:
    """Raise BrokenError unless the server says that it serves, and serves."""
    start = time.monotonic()
    with grpc.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = health.Check(health_pb2.HealthCheckRequest(), timeout=CHECK_SECONDS)
    story.slowest_check[0] = max(story.slowest_check[0], time.monotonic() - start)
    with cs.connect(server.address) as client:
        client.conv(SMALL, WEIGHT)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise BrokenError("the server says that it does not serve")
    if faults := logged_faults(server):
        raise BrokenError(f"there are tracebacks in the log, such as {faults[0]}")


def soak(server: RunningServer, seconds: float, random: Random) -> Story:
    """Every scenario once, then any of them until the time is over."""
    story, start = Story(), time.monotonic()
    waiting = list(SCENARIOS)
    while waiting or time.monotonic() - start < seconds:
        if waiting:
            scenario = waiting.pop()
        else:
            (scenario,) = random.choices(list(SCENARIOS), list(SCENARIOS.values()))
        scenario(server, random)
        check(server, story)
        story.counts[scenario.__name__] += 1
        if not waiting:
            usages = usage_of(server.pid), usage_of_workers(server)
            story.samples.append(Sample(time.monotonic() - start, *usages))
    return story


def find_leaks(server: RunningServer, story: Story) -> list[str]:
    """What is held now that was not held after the first of each."""
    first = story.samples[0]
    before = first.front + first.workers
    after = settle(server, before)
    grown = {
        "front": usage_of(server.pid).memory_bytes - first.front.memory_bytes,
        "workers": usage_of_workers(server).memory_bytes - first.workers.memory_bytes,
    }
    threads, descriptors = after.threads - before.threads, after.descriptors - before.descriptors
    found = {
        f"{threads} threads": threads > EXECUTOR_THREADS,
        f"{descriptors} descriptors": descriptors > 0,
        f"{tensor_bytes(server)} bytes of tensors": tensor_bytes(server) > 0,
    }
    found |= {f"{size // MIB} MiB of {who}": size > GROWTH_MIB * MIB for who, size in grown.items()}
    return [what for what, is_held in found.items() if is_held]


def report(story: Story) -> str:
    """What was done, and how memory went."""
    lines = [f"  {count:6} x {name}" for name, count in story.counts.most_common()]
    lines.append(f"slowest health check: {story.slowest_check[0] * 1e3:.0f} ms")
    lines.append(_memory_line("front", story, [each.front for each in story.samples]))
    lines.append(_memory_line("workers", story, [each.workers for each in story.samples]))
    return "\n".join(lines)


def _memory_line(name: str, story: Story, usages: list[Usage]) -> str:
    """At first, at last, and its slope in the second half, when the caches are full."""
    memory = [usage.memory_bytes / MIB for usage in usages]
    minutes = [sample.seconds / 60 for sample in story.samples]
    line = f"memory of {name}: {memory[0]:.0f} MiB at first, {memory[-1]:.0f} MiB at last"
    half = len(memory) // 2
    if len(memory) - half < 2:
        return line
    slope = statistics.linear_regression(minutes[half:], memory[half:]).slope
    return f"{line}, {slope:+.2f} MiB a minute in the second half"


def main() -> int:
    """Soak a server and report. The exit code is 1 if something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with start_server(*FLAGS, "--log-level=warning") as server:
        try:
            story = soak(server, arguments.seconds, Random(arguments.seed))
        except Exception:
            print(f"seed {arguments.seed}; the server's log ends with:\n{server.log[-4000:]}")
            raise
        leaks = find_leaks(server, story)
    print(f"seed {arguments.seed}, {arguments.seconds:g} s:\n{report(story)}")
    print(f"left over: {', '.join(leaks) or 'nothing'}")
    return 1 if leaks else 0


if __name__ == "__main__":
    sys.exit(main())
