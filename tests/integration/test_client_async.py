"""What only an awaiting client does: many calls at once, and calls that are given up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import convserve_client as cs
import numpy as np
import pytest

from tests.clients import unload_model
from tests.server import RunningServer, start_server

SLOW = np.ones(1 << 18, np.float32)  # convolved with itself directly: seconds of work


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with start_server("--abandon-seconds", "0.1") as running:
        yield running


def test_tasks_share_a_client_and_trace_their_own_calls(server) -> None:
    async def traced(client: cs.AsyncClient, size: int) -> tuple[np.ndarray, int]:
        with client.trace() as calls:
            for _ in range(size):
                result = await client.convolve(np.ones(size), np.ones(1))
        return result, len(calls)

    async def main() -> list[tuple[np.ndarray, int]]:
        async with await cs.connect_async(server.address) as client:
            return await asyncio.gather(*(traced(client, size) for size in range(1, 9)))

    assert [(len(result), calls) for result, calls in asyncio.run(main())] == [
        (size, size) for size in range(1, 9)
    ]


def test_a_call_that_is_given_up_is_cancelled_and_the_client_goes_on(server) -> None:
    async def main() -> np.ndarray:
        async with await cs.connect_async(server.address) as client:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.2):
                    await client.convolve(SLOW, SLOW, method="direct")
            assert type(caught.value) is TimeoutError
            return await client.convolve([1.0, 2.0], [1.0])

    np.testing.assert_array_equal(asyncio.run(main()), [1.0, 2.0])


def test_closing_ends_the_calls_in_flight(server) -> None:
    async def main() -> None:
        client = await cs.connect_async(server.address, max_retries=0)
        call = asyncio.create_task(client.convolve(SLOW, SLOW, method="direct"))
        await client.info()  # by then the call has been sent
        await client.close()
        with pytest.raises(cs.ConvserveError):
            await call
        with pytest.raises(cs.FailedPreconditionError, match="closed"):
            await client.info()

    asyncio.run(main())


def test_callers_who_lose_a_model_together_load_it_once(server) -> None:
    async def main() -> None:
        async with (
            await cs.connect_async(server.address) as client,
            await client.load(cs.ReLU()) as model,
            await client.load(cs.ReLU()) as other,
        ):
            unload_model(server.address, model.id)
            x = np.ones((1, 1, 3), np.float32)
            await asyncio.gather(*(model(x) for _ in range(20)))
            assert {each.id for each in await client.models()} == {model.id, other.id}

    asyncio.run(main())
