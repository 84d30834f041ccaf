import urllib.request

import pytest
from convserve_server.observability.metrics import Gauges, Metrics, MetricsServer


@pytest.fixture
def metrics():
    made = Metrics()
    made.watch(
        Gauges(
            queue_depth=lambda: 3,
            tensor_bytes_in_flight=lambda: 64,
            tensor_pool_bytes=lambda: 1024,
            models=lambda: 2,
            model_bytes=lambda: 128,
            unused_tensor_bytes=lambda: 64,
            lease_bytes=lambda: 32,
            worker_restarts=lambda: {"cpu": 5, "cuda:0": 1},
            planner_restarts=lambda: 7,
        )
    )
    return made


def test_a_call_is_counted_in_every_series(metrics):
    metrics.count_call(
        "Run",
        "OK",
        seconds=0.5,
        stages={"compute": 0.25, "queue": 0.125},
        received_bytes=10,
        sent_bytes=20,
    )
    value = metrics.registry.get_sample_value
    assert value("convserve_calls_total", {"rpc": "Run", "code": "OK"}) == 1
    assert value("convserve_call_seconds_sum", {"rpc": "Run"}) == 0.5
    assert value("convserve_stage_seconds_sum", {"rpc": "Run", "stage": "compute"}) == 0.25
    assert value("convserve_stage_seconds_count", {"rpc": "Run", "stage": "queue"}) == 1
    assert value("convserve_received_bytes_total", {"rpc": "Run"}) == 10
    assert value("convserve_sent_bytes_total", {"rpc": "Run"}) == 20


def test_steps_are_counted_by_device_engine_and_algorithm(metrics):
    metrics.count_work("cpu", {("cpu", "im2col"): 2, ("cpu", "direct"): 1}, 4)
    metrics.count_work("cpu", {("cpu", "direct"): 3}, 1)
    metrics.count_work("cuda:0", {("cpu", "direct"): 9}, 7)
    labels = {"device": "cpu", "engine": "cpu", "algorithm": "im2col"}
    assert metrics.registry.get_sample_value("convserve_steps_total", labels) == 2
    value = metrics.registry.get_sample_value
    assert value("convserve_batch_rows_sum", {"device": "cpu"}) == 5
    assert value("convserve_batch_rows_bucket", {"device": "cpu", "le": "1.0"}) == 1
    labels["algorithm"] = "direct"
    assert metrics.registry.get_sample_value("convserve_steps_total", labels) == 4


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("convserve_queue_depth", 3),
        ("convserve_tensor_bytes_in_flight", 64),
        ("convserve_tensor_pool_bytes", 1024),
        ("convserve_models", 2),
        ("convserve_model_bytes", 128),
        ("convserve_unused_tensor_bytes", 64),
        ("convserve_lease_bytes", 32),
        ("convserve_planner_restarts_total", 7),
    ],
)
def test_gauges_are_looked_up_at_each_scrape(metrics, name, expected):
    assert metrics.registry.get_sample_value(name) == expected


def test_workers_that_were_lost_are_counted_by_device(metrics):
    value = metrics.registry.get_sample_value
    assert value("convserve_worker_restarts_total", {"device": "cpu"}) == 5
    assert value("convserve_worker_restarts_total", {"device": "cuda:0"}) == 1


def test_the_server_answers_and_frees_its_port(metrics):
    server = MetricsServer(metrics, "127.0.0.1", 0)
    port = server.port
    with pytest.raises(OSError, match="in use"):
        MetricsServer(metrics, "127.0.0.1", port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        assert b"convserve_queue_depth 3.0" in response.read()
    server.close()
    MetricsServer(metrics, "127.0.0.1", port).close()
