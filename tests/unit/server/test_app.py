import asyncio
from contextlib import closing

import grpc
import pytest
from convserve.chunks import CHUNK_BYTES
from convserve.codec import network_to_message
from convserve.layers import ReLU
from convserve.networks import Network
from convserve.tensors import TensorSpec, spec_to_message
from convserve.v1 import compute_service_pb2 as pb2
from convserve.v1 import planning_service_pb2
from convserve_server import app
from convserve_server.addresses import Address
from convserve_server.engines.cuda.findings import Findings, Gpu
from convserve_server.listening import StartError
from convserve_server.settings import Settings

from tests.wire import call

LOOPBACK = Address("127.0.0.1", 0)


def settings(**changes):
    values = {"listen": (LOOPBACK,), "metrics": None, "engine": "reference"}
    return Settings(**{**values, "tensor_pool_bytes": 1 << 20, **changes})


def info_of(**changes):
    """What a server with these settings tells about itself."""

    def ask(address):
        with grpc.insecure_channel(address) as channel:
            return call(channel, "GetServerInfo", pb2.GetServerInfoRequest())[0]

    async def scenario():
        async with app.running(settings(**changes)) as bound:
            return await asyncio.to_thread(ask, bound.addresses[0])

    return asyncio.run(scenario())


def test_the_server_tells_what_it_was_told():
    info = info_of(threads=3, workers=1, max_call_seconds=7.0, worker_memory_bytes=3 << 20)
    assert info.engines == ["reference"]
    assert info.devices[0].thread_count == 3
    assert "numpy" in {library.name for library in info.libraries}
    assert info.devices[0].memory_bytes == info.limits.tensor_pool_bytes == 1 << 20
    assert info.limits.max_call_seconds == 7.0
    assert info.limits.worker_memory_bytes == 3 << 20
    assert info.limits.chunk_bytes == CHUNK_BYTES


def test_a_server_without_a_gpu_tells_why_and_serves_the_cpu():
    cpu, gpu = info_of(gpus=()).devices
    assert (cpu.name, cpu.available) == ("cpu", True)
    assert (gpu.name, gpu.engine, gpu.available) == ("cuda", "cuda", False)
    assert gpu.description == "the server was started with --gpus none"


def test_a_gpu_that_cannot_be_used_does_not_keep_the_server_from_the_cpu():
    cpu, gpu = info_of(gpus=(1,), gpu_engine="nothing:Nothing", gpu_memory_bytes=1 << 20).devices
    assert (cpu.name, cpu.available) == ("cpu", True)
    assert (gpu.name, gpu.available) == ("cuda:1", False)
    assert gpu.description.endswith(
        "before it was ready: ModuleNotFoundError: No module named 'nothing'"
    )


def test_it_serves_inside_the_block_and_not_after():
    def ask(address):
        with grpc.insecure_channel(address) as channel:
            return call(channel, "GetServerInfo", pb2.GetServerInfoRequest())

    async def scenario():
        async with app.running(settings(metrics=LOOPBACK)) as bound:
            (address,) = bound.addresses
            assert bound.metrics is not None
            (info,) = await asyncio.to_thread(ask, address)
            assert info.engines == ["reference"]
        return address

    address = asyncio.run(scenario())
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.FutureTimeoutError):
        grpc.channel_ready_future(channel).result(timeout=0.2)


def test_what_cannot_start_leaves_nothing_behind():
    async def scenario():
        async with app.running(settings(engine="nothing:Nothing")):
            pytest.fail("it cannot start")

    with pytest.raises(StartError, match="before it was ready"):
        asyncio.run(scenario())


@pytest.mark.parametrize("gpus", [(), (Gpu(number=0),)])
def test_memory_that_a_gpu_may_have_pinned_is_never_given_back(gpus):
    told = settings(tensor_pool_bytes=(300 << 20) + 1)  # more than is kept warm
    with closing(app._make_arena(told, Findings(gpus=gpus))) as arena:
        arena.allocate(300 << 20).release()
        assert (arena.shrink() == 0) == bool(gpus)


def test_a_default_device_that_is_not_there_is_refused():
    async def scenario():
        async with app.running(settings(device="cuda", gpus=())):
            pytest.fail("it cannot start")

    with pytest.raises(StartError, match=r"--device: .*'cuda' is not .* it has cpu; cuda: the ser"):
        asyncio.run(scenario())


def test_a_tensor_pool_that_cannot_be_had_is_refused():
    async def scenario():
        async with app.running(settings(tensor_pool_bytes=1 << 60)):
            pytest.fail("it cannot start")

    with pytest.raises(StartError, match="--tensor-pool-bytes"):
        asyncio.run(scenario())


def test_an_address_of_another_machine_is_refused():
    async def scenario():
        async with app.running(settings(listen=(Address("192.0.2.1", 1),))):
            pytest.fail("it cannot start")

    with pytest.raises(StartError, match=r"cannot listen on 192\.0\.2\.1:1"):
        asyncio.run(scenario())


def test_plans_tell_of_the_engine_that_would_run_them():
    request = planning_service_pb2.PlanRequest(
        network=network_to_message(Network([ReLU()])),
        inputs=[spec_to_message(TensorSpec("", "float32", (1, 4)))],
    )

    def ask(address):
        with grpc.insecure_channel(address) as channel:
            return call(channel, "Plan", request)[0].plan.layers[0]

    async def scenario():
        async with app.running(settings()) as bound:
            return await asyncio.to_thread(ask, bound.addresses[0])

    layer = asyncio.run(scenario())
    assert (layer.engine, layer.algorithm) == ("reference", "numpy")
    assert layer.workspace_bytes > 0
