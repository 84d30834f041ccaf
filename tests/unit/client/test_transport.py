"""The drivers, where no server is needed."""

import asyncio
import time
from contextlib import closing
from threading import Lock

import pytest
from convserve.errors import DeadlineExceededError
from convserve_client._endpoint import Endpoint
from convserve_client._retries import Effort, Policy
from convserve_client._transport import AsyncTransport, Transport
from convserve_server.app import _OPTIONS as SERVER_OPTIONS

NOWHERE = Endpoint("localhost:1")


def effort(seconds):
    return Effort(Policy(), seconds, time.monotonic() + seconds, time.monotonic)


def nothing():
    """A flow that asks for nothing."""
    return "done"
    yield


def failing():
    """A flow that fails."""
    raise DeadlineExceededError("too late")
    yield


def test_a_lock_that_others_hold_is_waited_for_until_the_deadline():
    lock = Lock()
    with closing(Transport(NOWHERE)) as transport:
        with lock, pytest.raises(DeadlineExceededError, match="other calls") as caught:
            transport.drive(effort(0.01).alone(lock, nothing()))
        assert caught.value.field == "timeout"
        assert transport.drive(effort(10).alone(lock, nothing())) == "done"


def test_a_flow_that_fails_lets_go_of_the_lock():
    lock = Lock()
    with closing(Transport(NOWHERE)) as transport:
        with pytest.raises(DeadlineExceededError, match="too late"):
            transport.drive(effort(10).alone(lock, failing()))
        assert not lock.locked()


def test_awaiting_calls_wait_as_long_and_let_go_too():
    async def check():
        lock = asyncio.Lock()
        transport = AsyncTransport(NOWHERE)
        async with lock:
            with pytest.raises(DeadlineExceededError, match="other calls"):
                await transport.drive(effort(0.01).alone(lock, nothing()))
        with pytest.raises(DeadlineExceededError, match="too late"):
            await transport.drive(effort(10).alone(lock, failing()))
        assert await transport.drive(effort(10).alone(lock, nothing())) == "done"
        await transport.close()

    asyncio.run(check())


@pytest.mark.parametrize("address", ["localhost:1", "unix:/nowhere"])
def test_the_client_pings_no_more_often_than_the_server_lets_it(address):
    client, server = dict(Endpoint(address).options), dict(SERVER_OPTIONS)
    allowed = server["grpc.http2.min_recv_ping_interval_without_data_ms"]
    assert client["grpc.keepalive_time_ms"] > allowed
    assert client["grpc.keepalive_timeout_ms"] < client["grpc.keepalive_time_ms"]
    without_calls = "grpc.keepalive_permit_without_calls"
    assert client[without_calls] <= server[without_calls]
