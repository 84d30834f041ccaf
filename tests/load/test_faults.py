"""Many callers at once, and callers that misbehave: the server refuses, recovers, keeps nothing."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path

import convserve_client as cs
import grpc
import numpy as np
import pytest
from convserve import errors
from convserve.layers import ReLU

from tests.fakes.wire_engine import FIFO, WAIT
from tests.load.faults import (
    SMALL,
    WEIGHT,
    cancel_calls,
    crowd,
    expire_calls,
    idle_connections,
    kill_caller,
    stopped_reader,
)
from tests.load.usage import is_back, logged_faults, settle, tensor_bytes, usage_of_server
from tests.server import start_server
from tests.wire import call, error_of, inline, scrape

ROOT = str(Path(__file__).parents[2])
QUEUE, CALLS = 4, 40
IN_HAND = 2  # calls that may be between the queue and the engine
GROWTH_BYTES = 64 << 20
IDLE = 200
SEED = 7
STORMS = 6
STORM_BYTES = 4 << 20  # of 200 calls: 20 KiB each would be seen


@pytest.fixture(scope="module")
def server():
    """A server whose log has no fault of its own at the end."""
    flags = ("--queue-length=64", "--stall-seconds=1", "--tensor-pool-bytes=256MiB")
    with start_server(*flags, "--log-level=warning") as running:
        yield running
        assert logged_faults(running) == []


@pytest.fixture
def fifo(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def run(channel, value):
    return call(channel, "RunInline", inline([ReLU()], {"input": np.full((1, 4), value, "f4")}))


def test_what_the_queue_cannot_hold_is_refused_while_the_worker_is_busy(fifo):
    """The refusals come while nothing is computed, so no refused call waits for another."""
    with (
        start_server(
            "--engine=tests.fakes.wire_engine:Steered",
            f"--queue-length={QUEUE}",
            environment={FIFO: str(fifo), "PYTHONPATH": ROOT},
        ) as server,
        grpc.insecure_channel(server.address) as channel,
        ThreadPoolExecutor(CALLS + 1) as pool,
    ):
        slow = pool.submit(run, channel, WAIT)
        with fifo.open("wb"):  # opens once the call runs
            calls = [pool.submit(run, channel, 1) for _ in range(CALLS)]
            for refused in islice(as_completed(calls), CALLS - QUEUE - IN_HAND):
                error = refused.exception()
                assert type(error) is errors.OverloadedError
                assert error.retry_delay
        slow.result()
        served = [each for each in calls if each.exception() is None]
        assert len(served) >= QUEUE
        assert len(run(channel, 1)) == 1
        assert scrape(server.metrics_address)["convserve_queue_depth"] == 0
        assert tensor_bytes(server) == 0


def test_a_crowd_is_served_or_refused_and_the_next_call_works(server):
    outcomes = asyncio.run(crowd(server.address, 400))
    assert set(outcomes) <= {"done", "refused"}
    assert outcomes["done"] >= 64
    with cs.connect(server.address, max_retries=0) as client:
        client.conv(SMALL, WEIGHT)


def cancel(address):
    return asyncio.run(cancel_calls(address, 200, SEED))


def expire(address):
    return expire_calls(address, 200, SEED)


@pytest.mark.parametrize("storm", [cancel, expire])
def test_calls_that_end_early_leave_nothing(server, storm):
    """Memory may grow to what so many calls at once take; what leaks grows with every storm."""
    storm(server.address)
    first = before = usage_of_server(server)
    for _ in range(STORMS):
        assert storm(server.address) > 20
        after = settle(server, first)
        assert tensor_bytes(server) == 0
        assert is_back(after, first)
        if after.memory_bytes <= before.memory_bytes + STORM_BYTES:
            return
        before = after
    pytest.fail(f"memory grew with each of {STORMS} storms")


def test_idle_connections_hurt_nobody(server):
    async def call_among_idle_ones():
        async with idle_connections(server.address, IDLE):
            assert usage_of_server(server).descriptors >= before.descriptors + IDLE
            return await crowd(server.address, 32)

    before = usage_of_server(server)
    assert asyncio.run(call_among_idle_ones()) == {"done": 32}
    after = settle(server, before)
    assert after.descriptors <= before.descriptors
    assert after.memory_bytes < before.memory_bytes + GROWTH_BYTES


def test_a_reader_that_stops_hurts_nobody_and_is_ended(server):
    with stopped_reader(server.address) as responses:
        assert asyncio.run(crowd(server.address, 32)) == {"done": 32}
        while tensor_bytes(server):  # until its memory is taken back: --stall-seconds
            assert asyncio.run(crowd(server.address, 1)) == {"done": 1}
        with pytest.raises(grpc.RpcError) as caught:
            for _ in responses:
                pass
        assert type(error_of(caught.value)) is errors.DeadlineExceededError


def test_a_caller_that_is_killed_leaves_nothing(server):
    before = usage_of_server(server)
    kill_caller(server.address)
    after = settle(server, before)
    assert tensor_bytes(server) == 0
    assert after.descriptors <= before.descriptors
