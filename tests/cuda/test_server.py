"""A server has plans and kernels built before it gives work to a GPU: from a call to its result."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import convserve_client as cs
import grpc
import numpy as np
import pytest
from convserve.layers import Conv
from convserve.v1 import compute_service_pb2 as pb2

from tests.processes import children, command_of
from tests.server import start_server
from tests.wire import arrays_of, arrays_of_stream, call, header_of, inline, scrape, stream

pytestmark = pytest.mark.cuda

FLAGS = (
    "--engine=reference",
    "--gpu-engine=tests.fakes.built_engine:BuiltEngine",
    "--gpus=0",
    "--gpu-memory-bytes=12MiB",
)
ROOT = str(Path(__file__).parents[2])
MAX_ROUNDS = 1000
MAX_LOOKS = 10_000  # each is a round trip, and so a bound
LAYERS = [Conv(16, 3, padding=1, bias=False)]


def arrays(rows, size):
    random = np.random.default_rng(0)
    return {
        "input": random.standard_normal((rows, 8, size, size)).astype(np.float32),
        "conv1.weight": random.standard_normal((16, 8, 3, 3)).astype(np.float32),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("plans")


@pytest.fixture(scope="module")
def server(folder):
    flags = (*FLAGS, f"--plan-folder={folder}")
    with start_server(*flags, environment={"PYTHONPATH": ROOT}) as running:
        yield running


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.address) as made:
        yield made


def builds(server):
    """How many plans and kernels were built so far."""
    metrics = scrape(server.metrics_address)
    return sum(n for name, n in metrics.items() if 'gpu_builds_total{source="built"' in name)


def test_what_a_call_takes_is_built_once(server, channel):
    given = arrays(2, 16)
    results = {}
    for device in ("cuda:0", "cpu"):
        (response,) = call(channel, "RunInline", inline(LAYERS, given, device=device))
        results[device] = arrays_of(response)["conv1"]
    np.testing.assert_allclose(results["cuda:0"], results["cpu"], rtol=1e-5, atol=1e-5)
    before = builds(server)
    assert before > 0
    request = inline(LAYERS, given, device="cuda:0", priority=1)  # another header: read anew
    (response,) = call(channel, "RunInline", request)
    assert response.summary.steps[0].engine == "cuda"
    assert builds(server) == before


def test_batches_that_calls_are_joined_to_are_built_in_the_background(server, channel):
    given = arrays(1, 24)
    requests = [inline(LAYERS, given, device="cuda:0") for _ in range(16)]
    call(channel, "RunInline", requests[0])
    before = builds(server)
    with ThreadPoolExecutor(16) as callers:
        for _ in range(MAX_ROUNDS):
            list(callers.map(lambda request: call(channel, "RunInline", request), requests))
            if builds(server) > before:
                return
    pytest.fail("no batch of several calls was made, or none was built")


def test_work_beyond_the_memory_is_split_and_its_pieces_are_built(channel):
    given = arrays(64, 64)  # 8 MiB in, 16 MiB out
    header = header_of(LAYERS, given, device="cuda:0")
    responses = call(channel, "Run", *stream(header, given.values()))
    assert responses[-1].summary.tile_count > 1
    result = arrays_of_stream(responses)["conv1"]
    some = {**given, "input": given["input"][:1]}
    (alone,) = call(channel, "RunInline", inline(LAYERS, some, device="cpu"))
    np.testing.assert_allclose(result[:1], arrays_of(alone)["conv1"], rtol=1e-5, atol=1e-5)


def lose_worker(server):
    """Kill the GPU's worker, and wait for the next one."""
    (worker,) = (pid for pid in children(server.pid) if "BuiltEngine" in command_of(pid))
    os.kill(worker, signal.SIGKILL)
    name = 'convserve_worker_restarts_total{device="cuda:0"}'
    for _ in range(MAX_LOOKS):
        if scrape(server.metrics_address)[name]:
            return
    pytest.fail("no worker took the place of the one that was killed")


def test_what_has_gone_from_the_folder_is_there_again_for_a_repeated_call(server, folder):
    """A new worker finds nothing there; the SDK repeats the call that learns of it."""
    x, weight = arrays(2, 20).values()
    with cs.connect(server.address) as client:
        first = client.conv(x, weight, padding=1)
        for path in folder.glob("*/*"):
            path.unlink()
        lose_worker(server)
        with client.trace() as records:
            second = client.conv(x, weight, padding=1)
    np.testing.assert_array_equal(first, second)
    assert records[-1].device == "cuda:0"
    reasons = [event["reason"] for event in server.events if event["event"] == "call"]
    assert reasons == ["NOT_BUILT"]  # calls that go well are not logged


def test_the_device_is_told_as_the_worker_found_it(channel):
    (info,) = call(channel, "GetServerInfo", pb2.GetServerInfoRequest())
    assert info.devices[0].description == "NVIDIA H200"
    assert info.devices[0].memory_bytes == 12 << 20
