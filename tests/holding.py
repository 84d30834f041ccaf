"""A server whose worker can be held, so that calls are known to come while it computes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from attrs import frozen
from convserve.layers import Sigmoid

from tests.fakes.held_engine import HOLD
from tests.fakes.wire_engine import FIFO
from tests.server import RunningServer, start_server
from tests.wire import call, inline, scrape

ROOT = str(Path(__file__).parents[1])
MAX_LOOKS = 10_000  # each is a round trip, and so a bound
CALLERS = 32


@frozen
class HeldServer:
    """A server with one worker, a channel to it, and the FIFO that holds the worker."""

    server: RunningServer
    channel: grpc.Channel
    fifo: Path
    callers: ThreadPoolExecutor

    def start(self, name: str, *messages: Any) -> Future[list[Any]]:
        """A call that goes on meanwhile."""
        return self.callers.submit(call, self.channel, name, *messages)

    @contextmanager
    def held(self) -> Iterator[None]:
        """The worker computes as long as the block lasts."""
        x = np.full((1, 4), HOLD, np.float32)
        holder = self.start("RunInline", inline([Sigmoid()], {"input": x}))
        with self.fifo.open("wb"):  # which waits until the engine has opened it
            yield
        holder.result()

    def wait_for(self, name: str, is_enough: Callable[[float], bool]) -> None:
        """Look at a metric until it is enough."""
        for _ in range(MAX_LOOKS):
            if is_enough(scrape(self.server.metrics_address).get(name, 0.0)):
                return
        pytest.fail(f"{name} did not become what it should")

    def wait_for_queue(self, length: int) -> None:
        """Until so many calls wait."""
        self.wait_for("convserve_queue_depth", lambda value: value == length)

    def wait_until_free(self) -> None:
        """Until no call holds memory."""
        self.wait_for("convserve_tensor_bytes_in_flight", lambda value: value == 0)


@contextmanager
def held_server(directory: Path, *flags: str) -> Iterator[HeldServer]:
    """Start a server that computes with the CPU engine in one worker."""
    fifo = directory / "fifo"
    os.mkfifo(fifo)
    engine = ("--engine=tests.fakes.held_engine:HeldCpu", "--workers=1")
    environment = {FIFO: str(fifo), "PYTHONPATH": ROOT}
    with (
        start_server(*engine, *flags, environment=environment) as server,
        grpc.insecure_channel(server.address) as channel,
        ThreadPoolExecutor(CALLERS) as callers,
    ):
        yield HeldServer(server, channel, fifo, callers)
