"""Those who call, each for a process of its own: the SDK's clients, and bare gRPC beside them.

Each yields a function of a number of threads or tasks and a number of calls; it returns a `Round`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import convserve_client as cs
import grpc
import grpc.aio
from convserve.codec import network_to_message
from convserve.services import METHODS
from convserve.tensors import TensorSpec, spec_to_message
from convserve.v1.planning_service_pb2 import PlanRequest

from tests.benchmarks import works
from tests.benchmarks.rounds import Round, run_tasks, run_threads
from tests.networks import resnet50

Caller = Callable[[int, int], Round]

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
ECHO, ANSWER = "/echo.Echo/Echo", "/echo.Echo/Answer"


@contextmanager
def blocking_small(address: str) -> Iterator[Caller]:
    """The small convolution by one Client."""
    x, weight = works.small()
    with cs.connect(address) as client:
        yield partial(run_threads, lambda: _drop(client.conv(x, weight, padding=1)))


@contextmanager
def awaiting_small(address: str) -> Iterator[Caller]:
    """The small convolution by one AsyncClient."""
    x, weight = works.small()
    with asyncio.Runner() as runner:
        client = runner.run(cs.connect_async(address))

        async def call() -> None:
            await client.conv(x, weight, padding=1)

        yield _on(runner, call)
        runner.run(client.close())


@contextmanager
def awaiting_heavy(address: str) -> Iterator[Caller]:
    """The heavy convolution as a model; each answer is the size of the batch it ran in."""
    x = works.heavy()[2]
    with asyncio.Runner() as runner:
        client, model = runner.run(open_heavy(address))

        async def call() -> int:
            with client.trace() as records:
                await model(x)
            return records[-1].batch_size

        yield _on(runner, call)
        runner.run(model.close())
        runner.run(client.close())


@contextmanager
def blocking_echo(address: str) -> Iterator[Caller]:
    """Bare calls with messages of the small convolution's sizes, by one channel."""
    request = _small_request()
    with grpc.insecure_channel(address) as channel:
        answer: Any = channel.unary_unary(ANSWER)
        yield partial(run_threads, lambda: _drop(answer(request)))


@contextmanager
def awaiting_echo(address: str) -> Iterator[Caller]:
    """The same by one grpc.aio channel."""
    request = _small_request()
    with asyncio.Runner() as runner:
        channel, answer = runner.run(_open(address, ANSWER))

        async def call() -> None:
            await answer(request)

        yield _on(runner, call)
        runner.run(channel.close())


@contextmanager
def blocking_plan(address: str) -> Iterator[Caller]:
    """One plan again and again, by one channel."""
    request = _plan_request()
    with grpc.insecure_channel(address) as channel:
        plan: Any = channel.unary_unary(METHODS["Plan"].path)
        yield partial(run_threads, lambda: _drop(plan(request)))


@contextmanager
def awaiting_plan(address: str) -> Iterator[Caller]:
    """The same by one grpc.aio channel."""
    request = _plan_request()
    with asyncio.Runner() as runner:
        channel, plan = runner.run(_open(address, METHODS["Plan"].path))

        async def call() -> None:
            await plan(request)

        yield _on(runner, call)
        runner.run(channel.close())


@contextmanager
def blocking_large(address: str) -> Iterator[Caller]:
    """The identity of 64 MiB by one Client."""
    x, weight = works.large()
    with cs.connect(address) as client:
        yield partial(run_threads, lambda: _drop(client.conv(x, weight)))


@contextmanager
def blocking_large_echo(address: str) -> Iterator[Caller]:
    """One bare message of 64 MiB, there and back."""
    data = works.large()[0].tobytes()
    with grpc.insecure_channel(address, options=UNLIMITED) as channel:
        echo: Any = channel.unary_unary(ECHO)
        yield partial(run_threads, lambda: _drop(echo(data)))


def _on(runner: asyncio.Runner, call: Callable[[], Awaitable[Any]]) -> Caller:
    return lambda tasks, count: runner.run(run_tasks(call, tasks, count))


async def open_heavy(address: str) -> tuple[cs.AsyncClient, cs.AsyncModel]:
    """A client, and the heavy convolution resident on its server. No call is repeated."""
    network, weights, _ = works.heavy()
    client = await cs.connect_async(address, max_retries=0)
    return client, await client.load(network, weights)


async def _open(address: str, path: str) -> tuple[grpc.aio.Channel, Any]:
    channel = grpc.aio.insecure_channel(address)  # in the loop that it then belongs to
    rpc: Any = channel.unary_unary(path)
    return channel, rpc


def _small_request() -> bytes:
    request_bytes, response_bytes = works.small_message_sizes()
    return response_bytes.to_bytes(4, "little") + bytes(request_bytes - 4)


def _plan_request() -> bytes:
    """ResNet-50 for one picture."""
    spec = spec_to_message(TensorSpec("", "float32", (1, 3, 224, 224)))
    message = PlanRequest(network=network_to_message(resnet50()), inputs=[spec])
    return message.SerializeToString()


def _drop(_: object) -> None:
    """A round keeps answers; results are not for keeping."""
