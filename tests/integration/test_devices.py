"""A server of several devices: the CPU and two that are simulated, each with lanes."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest
from attrs import frozen
from convserve import errors
from convserve.layers import Conv, ReLU
from convserve.tensors import TensorSpec, spec_to_message
from convserve.v1 import compute_service_pb2 as pb2
from convserve.v1 import planning_service_pb2 as planning_pb2
from convserve.v1 import precision_pb2
from convserve_server.stations import LANES

from tests.fakes.lane_engine import DIE, FIFO, REFUSE, WAIT
from tests.leases import Lessee
from tests.server import RunningServer, start_server
from tests.wire import (
    arrays_of,
    arrays_of_stream,
    call,
    header_of,
    inline,
    load_messages,
    method,
    scrape,
    stream,
)

ROOT = str(Path(__file__).parents[2])
FLAGS = (
    "--engine=reference",
    "--gpu-engine=tests.fakes.lane_engine:Lanes",
    "--gpus=0,1",
    "--gpu-memory-bytes=64MiB",
)
CALL_BYTES = 128  # one row in, one out
MAX_LOOKS = 10_000  # each is a round trip, and so a bound


@frozen
class Devices:
    """A server, a channel to it, the FIFO that holds a lane, and callers."""

    server: RunningServer
    channel: grpc.Channel
    fifo: Path
    callers: ThreadPoolExecutor

    def run(self, *values, device="", **options):
        """Run rows that begin with these values. The simulated devices add 1; the CPU does not."""
        x = np.zeros((len(values), 4), np.float32)
        x[:, 0] = values
        request = inline([ReLU()], {"input": x}, device=device, **options)
        (response,) = call(self.channel, "RunInline", request)
        return response.summary, arrays_of(response)["relu1"]

    def start(self, *values, **options):
        """A run that goes on meanwhile."""
        return self.callers.submit(self.run, *values, **options)

    @contextmanager
    def held(self, device):
        """A lane of a device is busy as long as the block lasts. Gives the call."""
        holding = self.start(WAIT, device=device, batch_invariant=True)
        with self.fifo.open("wb"):  # which waits until the device has begun
            yield holding
        holding.result()

    @contextmanager
    def full(self, device, count=LANES):
        """All lanes of a device are busy as long as the block lasts, with `count` calls in all."""
        with self.held(device):  # whoever comes later is not answered before
            more = [self.start(1, device=device, batch_invariant=True) for _ in range(1, count)]
            self.wait_for("convserve_tensor_bytes_in_flight", count * CALL_BYTES)
            self.wait_for("convserve_queue_depth", 0)
            yield
        for each in more:
            each.result()

    def wait_for(self, name, value):
        """Look at a metric until it has the value."""
        for _ in range(MAX_LOOKS):
            if scrape(self.server.metrics_address).get(name, 0.0) == value:
                return
        pytest.fail(f"{name} did not become {value}")


@contextmanager
def running(directory, *flags):
    fifo = directory / "fifo"
    os.mkfifo(fifo)
    environment = {FIFO: str(fifo), "PYTHONPATH": ROOT}
    with (
        start_server(*FLAGS, *flags, environment=environment) as server,
        grpc.insecure_channel(server.address) as channel,
        ThreadPoolExecutor(16) as callers,
    ):
        yield Devices(server, channel, fifo, callers)


@pytest.fixture(scope="module")
def devices(tmp_path_factory):
    with running(tmp_path_factory.mktemp("devices")) as made:
        yield made


def test_the_devices_are_told_the_default_first(devices):
    (info,) = call(devices.channel, "GetServerInfo", pb2.GetServerInfoRequest())
    assert [device.name for device in info.devices] == ["cuda:0", "cpu", "cuda:1"]
    assert all(device.available for device in info.devices)
    assert info.devices[0].description == "a device of lanes"
    assert list(info.engines) == ["tests.fakes.lane_engine:Lanes", "reference"]
    (known,) = call(devices.channel, "ListDevices", planning_pb2.ListDevicesRequest())
    assert list(known.devices[:3]) == list(info.devices)


@pytest.mark.parametrize(("device", "added"), [("cpu", 0), ("cuda:0", 1), ("cuda:1", 1)])
def test_a_call_runs_where_it_says(devices, device, added):
    for _ in range(2):  # the second finds what was read before
        summary, result = devices.run(5, 6, device=device)
        assert summary.device == device
        assert result[:, 0].tolist() == [5 + added, 6 + added]


@pytest.mark.parametrize("device", ["", "cuda"])
def test_any_gpu_is_the_one_that_has_less_to_do(devices, device):
    for busy, free in (("cuda:0", "cuda:1"), ("cuda:1", "cuda:0")):
        with devices.held(busy):
            for _ in range(2):
                assert devices.run(1, device=device)[0].device == free


def test_an_unknown_device_is_refused_with_those_that_there_are(devices):
    with pytest.raises(errors.DeviceNotFoundError, match="it has cpu, cuda:0, cuda:1") as caught:
        devices.run(1, device="cuda:2")
    assert caught.value.field == "options.device"


@pytest.mark.parametrize("precision", ["strict", "tf32"])
def test_the_engine_is_told_the_precision(devices, precision):
    number = precision_pb2.Precision.Value(f"PRECISION_{precision.upper()}")
    summary, _ = devices.run(1, device="cuda:0", precision=number)
    assert summary.steps[0].algorithm.startswith(precision)


def test_calls_of_one_kind_are_a_batch_on_their_device(devices):
    with devices.full("cuda:0"):
        waiting = [devices.start(value, device="cuda:0") for value in (1, 2, 3, 4)]
        devices.wait_for("convserve_queue_depth", 4)
    found = [each.result() for each in waiting]
    assert {summary.batch_size for summary, _ in found} == {4}
    assert [result[0, 0] for _, result in found] == [2, 3, 4, 5]


def test_pieces_of_one_call_come_in_order(devices):
    x = np.zeros((64, 1 << 17), np.float32)  # 32 MiB: several blocks of rows
    x[:, 1] = np.arange(64)
    header = header_of([ReLU()], {"input": x}, device="cuda:1")
    responses = call(devices.channel, "Run", *stream(header, [x]))
    np.testing.assert_array_equal(arrays_of_stream(responses)["relu1"], x + 1)
    summary = responses[-1].summary
    assert summary.tile_count > 2
    stages = (summary.queue_seconds, summary.compute_seconds, summary.transfer_seconds)
    assert min(stages) >= 0


def test_an_error_of_one_piece_is_that_of_the_call(devices):
    x = np.zeros((64, 1 << 17), np.float32)
    x[32:, 0] = REFUSE
    header = header_of([ReLU()], {"input": x}, device="cuda:1")
    with pytest.raises(errors.ShapeError, match="not wanted"):
        call(devices.channel, "Run", *stream(header, [x]))
    assert devices.run(1, device="cuda:1")[1][0, 0] == 2


def test_a_model_runs_on_every_device_and_is_forgotten_on_all(devices):
    weights = {
        "conv1.weight": np.ones((1, 1, 1), np.float32),
        "conv1.bias": np.zeros(1, np.float32),
    }
    (loaded,) = call(devices.channel, "LoadModel", *load_messages([Conv(1, 1)], weights))
    x = np.full((1, 1, 4), 7, np.float32)
    (response,) = call(devices.channel, "RunInline", inline(loaded.model.id, {"input": x}))
    assert arrays_of(response)["conv1"].tolist() == [[[8] * 4]]
    call(devices.channel, "UnloadModel", pb2.UnloadModelRequest(model_id=loaded.model.id))
    with pytest.raises(errors.ModelNotFoundError):
        call(devices.channel, "RunInline", inline(loaded.model.id, {"input": x}))


def test_plans_tell_of_the_device_that_they_are_for(devices):
    request = planning_pb2.PlanRequest(
        network=header_of([ReLU()], {}).network,
        inputs=[spec_to_message(TensorSpec("", "float32", (1, 4)))],
    )
    for device, engine in (("", "tests.fakes.lane_engine:Lanes"), ("cpu", "reference")):
        request.device = device
        (response,) = call(devices.channel, "Plan", request)
        assert response.plan.layers[0].engine == engine
        assert response.plan.device == (device or "cuda:0")


def test_a_lost_worker_is_counted_for_its_device_and_replaced(devices):
    with pytest.raises(errors.WorkerDiedError):
        devices.run(DIE, device="cuda:1")
    assert devices.run(1, device="cuda:1")[1][0, 0] == 2
    metrics = scrape(devices.server.metrics_address)
    assert metrics['convserve_worker_restarts_total{device="cuda:1"}'] == 1
    assert metrics['convserve_worker_restarts_total{device="cuda:0"}'] == 0


def test_a_cancelled_call_that_waits_is_never_begun(devices):
    request = inline([ReLU()], {"input": np.full((1, 4), DIE, "f4")}, device="cuda:0")
    with devices.full("cuda:0", LANES + 1):  # one is sent ahead
        future = method(devices.channel, "RunInline").future(request, timeout=60)
        devices.wait_for("convserve_queue_depth", 1)
        future.cancel()
        devices.wait_for("convserve_queue_depth", 0)
    assert devices.run(1, device="cuda:0")[1][0, 0] == 2
    devices.wait_for("convserve_tensor_bytes_in_flight", 0)


def test_shared_memory_is_attached_to_every_device(tmp_path):
    socket = f"unix:{tmp_path}/socket"
    with running(tmp_path, f"--listen={socket}", "--listen=127.0.0.1:0") as devices:
        with grpc.insecure_channel(socket) as channel, Lessee(channel, 1 << 16) as lessee:
            memory = lessee.map()
            np.frombuffer(memory, np.float32)[:4] = [0, 1, 2, 3]
            x = np.zeros((1, 4), np.float32)
            for device in ("cuda:0", "cuda:1", "cpu"):
                request = inline([ReLU()], {"input": x}, device=device)
                request.data[0] = b""
                shared = pb2.SharedTensor(tensor=0, offset=0)
                request.shared.CopyFrom(
                    pb2.Shared(lease_id=lessee.answer.lease_id, tensors=[shared])
                )
                (response,) = call(channel, "RunInline", request)
                added = device != "cpu"
                assert arrays_of(response)["relu1"][0].tolist() == [n + added for n in range(4)]
        assert devices.run(1, device="cuda:0")[1][0, 0] == 2


def test_a_server_stops_after_what_runs_in_its_lanes(tmp_path):
    with running(tmp_path) as devices:
        with devices.held("cuda:1") as holding:
            devices.server.terminate()
        assert holding.result()[0].device == "cuda:1"
        assert devices.server.wait() == 0


def test_a_gpu_whose_worker_cannot_be_started_again_does_not_take_the_server_along(tmp_path):
    library = tmp_path / "library"
    library.touch()
    engine = "--gpu-engine=tests.fakes.lane_engine:NeedsLibrary"
    with running(tmp_path, engine, "--gpus=0", f"--plan-folder={library}") as devices:
        library.unlink()
        with pytest.raises(errors.WorkerDiedError, match="signal 9"):
            devices.run(DIE, device="cuda:0")
        with pytest.raises(errors.WorkerDiedError, match="nothing can be computed now"):
            devices.run(1, device="cuda:0")
        assert devices.run(1, device="cpu")[1][0, 0] == 1
