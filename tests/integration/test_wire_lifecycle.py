"""A server's life: start, health, faults, a lost worker, drain, and its end."""

import os
import signal
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
from convserve import errors
from convserve.layers import ReLU
from convserve.v1 import compute_service_pb2 as pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.fakes.wire_engine import DIE, FAIL, FIFO, LIBRARY, SECRET, WAIT
from tests.server import start_server
from tests.wire import arrays_of, call, inline, load_messages, scrape

ENGINE = "--engine=tests.fakes.wire_engine:Steered"
ROOT = str(Path(__file__).parents[2])
SERVING, NOT_SERVING = 1, 2


@pytest.fixture
def fifo(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.fixture
def start(fifo):
    """Starts a server whose engine can be steered; the test's end stops it."""
    started = []

    def start_steered(*flags):
        environment = {FIFO: str(fifo), "PYTHONPATH": ROOT}
        running = start_server(ENGINE, *flags, environment=environment)
        started.append(running)
        return running

    yield start_steered
    for running in started:
        running.stop()


def run(channel, value):
    return call(channel, "RunInline", inline([ReLU()], {"input": np.full((1, 4), value, "f4")}))


def workers_of(server):
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


def test_health_and_reflection(channel):
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", "convserve.v1.PlanningService", "convserve.v1.ComputeService"):
        request = health_pb2.HealthCheckRequest(service=service)
        assert health.Check(request, timeout=10).status == SERVING
        watch = health.Watch(request, timeout=10)
        assert next(watch).status == SERVING
        watch.cancel()
    with pytest.raises(grpc.RpcError) as caught:
        health.Check(health_pb2.HealthCheckRequest(service="nothing"), timeout=10)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
        iter([request]), timeout=10
    )
    names = {service.name for service in answer.list_services_response.service}
    assert names >= {"convserve.v1.PlanningService", "convserve.v1.ComputeService"}


def test_work_in_flight_finishes_while_new_calls_are_refused(start, fifo):
    server = start()
    with grpc.insecure_channel(server.address) as channel, ThreadPoolExecutor(1) as pool:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == SERVING
        slow = pool.submit(run, channel, WAIT)
        with fifo.open("wb"):  # opens once the call runs
            server.terminate()
            assert next(watch).status == NOT_SERVING
            with pytest.raises(errors.DrainingError):
                run(channel, 1)
        (response,) = slow.result()
        np.testing.assert_array_equal(arrays_of(response)["relu1"], np.full((1, 4), WAIT))
    assert server.wait() == 0


def test_work_is_ended_after_the_grace(start, fifo):
    server = start("--grace-seconds=0", "--abandon-seconds=0")
    with grpc.insecure_channel(server.address) as channel, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(run, channel, WAIT)
        with fifo.open("wb"):
            server.terminate()
            with pytest.raises(errors.DrainingError):
                slow.result()
    assert server.wait() == 0


def test_the_server_ends_when_its_owner_has_gone(start):
    server = start()
    (worker,) = workers_of(server)
    server.leave()
    assert server.wait() == 0
    assert not Path(f"/proc/{worker}").exists()


def test_the_worker_is_lost_and_replaced(start, fifo):
    server = start()
    (first,) = workers_of(server)
    with grpc.insecure_channel(server.address) as channel, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(run, channel, WAIT)
        with fifo.open("wb"):
            os.kill(first, signal.SIGKILL)
            with pytest.raises(errors.WorkerDiedError):
                slow.result()
        assert len(run(channel, 1)) == 1
        with pytest.raises(errors.WorkerDiedError):
            run(channel, DIE)
        assert len(run(channel, 1)) == 1
    assert first not in workers_of(server)
    metrics = scrape(server.metrics_address)
    assert metrics['convserve_worker_restarts_total{device="cpu"}'] == 2
    assert metrics["convserve_tensor_bytes_in_flight"] == 0


@pytest.fixture
def library(tmp_path):
    path = tmp_path / "library"
    path.touch()
    return path


def start_fragile(library, engine):
    """A server whose worker can only be started while the library is there."""
    environment = {LIBRARY: str(library), "PYTHONPATH": ROOT}
    return start_server(f"--engine=tests.fakes.wire_engine:{engine}", environment=environment)


def test_health_tells_that_no_worker_can_be_started(library):
    with (
        start_fragile(library, "NeedsLibrary") as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        health = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(service="convserve.v1.ComputeService"))
        assert next(watch).status == SERVING
        library.unlink()
        with pytest.raises(errors.WorkerDiedError):
            run(channel, DIE)
        assert next(watch).status == NOT_SERVING
        with pytest.raises(errors.WorkerDiedError, match="nothing can be computed now") as caught:
            run(channel, 1)
        assert caught.value.retry_delay
        for service, status in (("", NOT_SERVING), ("convserve.v1.PlanningService", SERVING)):
            request = health_pb2.HealthCheckRequest(service=service)
            assert health.Check(request, timeout=10).status == status
        library.touch()
        assert next(watch).status == SERVING
        assert len(run(channel, 1)) == 1
        watch.cancel()


def test_a_server_with_a_model_stops_while_its_worker_does_not_come_back(library):
    with (
        start_fragile(library, "WaitsForLibrary") as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        call(channel, "LoadModel", *load_messages([ReLU()], {}))
        library.unlink()
        with pytest.raises(errors.WorkerDiedError):
            run(channel, DIE)
        server.terminate()
        assert server.wait() == 0


def test_a_fault_is_in_the_log_and_not_in_the_answer(start):
    server = start()
    with grpc.insecure_channel(server.address) as channel:
        with pytest.raises(errors.InternalError) as caught:
            run(channel, FAIL)
        assert len(run(channel, 1)) == 1
    assert SECRET not in str(caught.value)
    (fault,) = [event for event in server.events if event["event"] == "fault of the engine"]
    (bad,) = [event for event in server.events if event.get("code") == "INTERNAL"]
    assert SECRET in fault["story"]
    assert caught.value.metadata["error_id"] == fault["request_id"] == bad["request_id"]


def test_the_longest_call_is_the_servers_choice(start, fifo):
    server = start("--max-call-seconds=1", "--abandon-seconds=0")
    with grpc.insecure_channel(server.address) as channel, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(run, channel, WAIT)
        with (
            fifo.open("wb"),
            pytest.raises(errors.DeadlineExceededError, match=r"server's limit of 1 s"),
        ):
            slow.result()


@pytest.mark.parametrize("level", ["info", "debug"])
def test_one_line_is_logged_for_each_call_unless_it_was_short_and_went_well(start, level):
    server = start(f"--log-level={level}")
    with grpc.insecure_channel(server.address) as channel:
        (response,) = run(channel, 1)
        with pytest.raises(errors.InvalidArgumentError):
            call(channel, "RunInline", pb2.RunInlineRequest())
    server.terminate()
    assert server.wait() == 0
    *others, bad = [event for event in server.events if event["event"] == "call"]
    assert (bad["code"], bad["reason"]) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")
    assert bad["peer"].startswith("ipv4:127.0.0.1:")
    assert len(others) == {"info": 0, "debug": 1}[level]
    for good in others:
        check_logged(good, response)


def check_logged(good, response):
    assert good["request_id"] == response.summary.request_id
    assert (good["rpc"], good["code"]) == ("RunInline", "OK")
    assert good["received_bytes"] > 16


def test_text_logs(start):
    server = start("--log-format=text", "--log-level=debug")
    with grpc.insecure_channel(server.address) as channel:
        run(channel, 1)
    server.terminate()
    server.wait()
    assert ' call request_id="' in server.log


def test_a_port_in_use_is_refused(server):
    with pytest.raises(RuntimeError, match=f"cannot listen on {server.address}: it is in use") as e:
        start_server("--listen", server.address)
    assert "ended with code 1" in str(e.value)
    assert "Traceback" not in str(e.value)


def test_a_metrics_port_in_use_is_refused(server):
    with pytest.raises(RuntimeError, match="--metrics off"):
        start_server("--metrics", server.metrics_address)


def test_a_worker_that_cannot_start_ends_the_server():
    with pytest.raises(RuntimeError, match="cannot start") as caught:
        start_server("--engine=tests.fakes.wire_engine:Nothing", environment={"PYTHONPATH": ROOT})
    assert "ended with code 1" in str(caught.value)


def test_several_addresses_and_a_unix_socket(start, tmp_path):
    path = tmp_path / "socket"
    server = start("--listen", f"unix:{path}", "--listen", "127.0.0.1:0", "--metrics", "off")
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert server.metrics_address is None
    for address in server.addresses:
        with grpc.insecure_channel(address) as channel:
            assert len(run(channel, 1)) == 1
    with pytest.raises(RuntimeError, match="another server does"):
        start_server("--listen", f"unix:{path}")
    assert path.exists()
    server.terminate()
    assert server.wait() == 0
    assert not path.exists()


def test_a_stale_socket_is_replaced_and_a_file_is_not(start, tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = start("--listen", f"unix:{path}")
    with grpc.insecure_channel(server.address) as channel:
        assert len(run(channel, 1)) == 1
    file = tmp_path / "file"
    file.write_text("kept")
    with pytest.raises(RuntimeError, match="not a socket"):
        start_server("--listen", f"unix:{file}")
    assert file.read_text() == "kept"


def test_a_socket_without_its_directory_is_one_clear_line(tmp_path):
    with pytest.raises(RuntimeError, match="ended with code 1") as caught:
        start_server("--listen", f"unix:{tmp_path}/missing/socket")
    (line,) = str(caught.value).splitlines()[1:]
    assert f"{tmp_path}/missing is no directory" in line


def test_an_address_that_others_reach_is_warned_about(start):
    assert "there is no TLS" in start("--listen", "0.0.0.0:0").log
