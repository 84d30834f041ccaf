"""Planner processes of a live server: started when needed, gone with it, and in nobody's way."""

import os
import select
from pathlib import Path

import grpc
import pytest
from convserve.codec import network_to_message
from convserve.errors import TooLargeError
from convserve.layers import Conv, ReLU
from convserve.networks import Network
from convserve.tensors import TensorSpec, spec_to_message
from convserve.v1 import compute_service_pb2, planning_service_pb2

from tests.server import start_server
from tests.wire import call, scrape

LAYERS = 1000


def plan(server, count=LAYERS, **options):
    layers = [layer for _ in range(count // 2) for layer in (Conv(8, 3, padding=1), ReLU())]
    request = planning_service_pb2.PlanRequest(
        network=network_to_message(Network(layers)),
        inputs=[spec_to_message(TensorSpec("", "float32", (1, 8, 6, 6)))],
        **options,
    )
    with grpc.insecure_channel(server.address) as channel:
        return call(channel, "Plan", request)[0].plan


def planners_of(server):
    """The ids of the server's planner processes."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [
        int(pid)
        for pid in children
        if b"convserve_server.planners.child" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def wait_for_end(pid_fd):
    """Wait until a process has ended, which makes its descriptor readable."""
    readable, _, _ = select.select([pid_fd], [], [], 30)
    return bool(readable)


@pytest.fixture(scope="module")
def server():
    with start_server("--planner-processes=1") as running:
        yield running


def test_a_large_plan_takes_a_process_that_stays(server):
    assert planners_of(server) == []
    assert len(plan(server).layers) == LAYERS
    (first,) = planners_of(server)
    assert len(plan(server, LAYERS + 2).layers) == LAYERS + 2
    assert planners_of(server) == [first]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_no_planner_outlives_the_server(end):
    with start_server() as server:
        plan(server)
        (pid,) = planners_of(server)
        watch = os.pidfd_open(pid)
        if end == "kill":
            os.kill(server.pid, 9)
        else:
            assert server.stop() == 0
        assert wait_for_end(watch)
        os.close(watch)


def test_a_plan_that_takes_too_long_is_refused_and_the_server_goes_on():
    with start_server("--planner-seconds=0.01") as server:
        with pytest.raises(TooLargeError, match=r"0\.01 s.*--planner-seconds"):
            plan(server)
        assert len(plan(server, 10).layers) == 10
        with grpc.insecure_channel(server.address) as channel:
            call(channel, "GetServerInfo", compute_service_pb2.GetServerInfoRequest())
        assert scrape(server.metrics_address)["convserve_planner_restarts_total"] == 1


def test_without_cudnn_a_plan_for_a_gpu_says_what_it_does_not_know(server):
    found = plan(server, 2, device="h200", kernels=True)
    conv = found.layers[0]
    assert (conv.engine, conv.algorithm, conv.kernels) == ("cuda", "", [])
    assert "pip install 'convserve-server[cudnn]'" in conv.algorithm_reason
    assert any("the algorithms of some convolutions are not known" in n for n in found.notes)
