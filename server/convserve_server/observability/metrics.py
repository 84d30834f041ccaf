"""Every number that the server tells Prometheus, declared once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from threading import Thread
from typing import Protocol

from attrs import frozen
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from convserve_server.observability.nvml import GpuMonitor

# From the fastest small call to the longest one allowed.
_SECONDS_BUCKETS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)

_ROWS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@frozen(kw_only=True)
class Gauges:
    """Where the numbers that are looked up at each scrape come from."""

    queue_depth: Callable[[], int]
    tensor_bytes_in_flight: Callable[[], int]
    tensor_pool_bytes: Callable[[], int]
    models: Callable[[], int]
    model_bytes: Callable[[], int]
    unused_tensor_bytes: Callable[[], int]
    lease_bytes: Callable[[], int]
    worker_restarts: Callable[[], Mapping[str, int]]  # by device
    planner_restarts: Callable[[], int]


@frozen
class _RpcMetrics:
    """The collectors of one rpc, looked up once: that takes longer than counting."""

    calls: Callable[[str], Counter]  # by code
    call_seconds: Histogram
    stage_seconds: Callable[[str], Histogram]  # by stage
    received: Counter
    sent: Counter

    def count(
        self,
        code: str,
        seconds: float,
        stages: Mapping[str, float],
        received_bytes: int,
        sent_bytes: int,
    ) -> None:
        self.calls(code).inc()
        self.call_seconds.observe(seconds)
        for stage, duration in stages.items():
            self.stage_seconds(stage).observe(duration)
        self.received.inc(received_bytes)
        self.sent.inc(sent_bytes)


class _Restarts(Collector):
    """Counters that other objects keep."""

    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[CounterMetricFamily]:
        workers = CounterMetricFamily(
            "convserve_worker_restarts",
            "Worker processes started anew after one was lost.",
            labels=["device"],
        )
        for device, count in self._gauges.worker_restarts().items():
            workers.add_metric([device], count)
        yield workers
        yield CounterMetricFamily(
            "convserve_planner_restarts",
            "Planner processes that were lost, or killed with their task.",
            value=self._gauges.planner_restarts(),
        )


class Metrics:
    """The collectors, in a registry of their own.

    `rpc` is a method's name or `unknown`, `code` a gRPC status code's name, `stage` one of decode,
    queue, transfer, compute and encode, so that no caller can make new series.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._by_rpc: dict[str, _RpcMetrics] = {}
        self._calls = Counter(
            "convserve_calls", "Calls that ended.", ["rpc", "code"], registry=self.registry
        )
        self._call_seconds = Histogram(
            "convserve_call_seconds",
            "From a call's first byte to its end.",
            ["rpc"],
            buckets=_SECONDS_BUCKETS,
            registry=self.registry,
        )
        self._stage_seconds = Histogram(
            "convserve_stage_seconds",
            "Time in each stage of a call.",
            ["rpc", "stage"],
            buckets=_SECONDS_BUCKETS,
            registry=self.registry,
        )
        self._received = Counter(
            "convserve_received_bytes",
            "Bytes of messages received.",
            ["rpc"],
            registry=self.registry,
        )
        self._sent = Counter(
            "convserve_sent_bytes", "Bytes of messages sent.", ["rpc"], registry=self.registry
        )
        self._batch_rows = Histogram(
            "convserve_batch_rows",
            "Rows of the batches that calls were computed in.",
            ["device"],
            buckets=_ROWS_BUCKETS,
            registry=self.registry,
        )
        self._steps = Counter(
            "convserve_steps",
            "Layers and operations computed.",
            ["device", "engine", "algorithm"],
            registry=self.registry,
        )
        self._builds = Counter(
            "convserve_gpu_builds",
            "Plans and kernels that calls on GPUs needed, by where they came from.",
            ["what", "source"],
            registry=self.registry,
        )
        self._build_seconds = Counter(
            "convserve_gpu_build_seconds",
            "Time that getting them took.",
            ["what", "source"],
            registry=self.registry,
        )

    def watch(self, gauges: Gauges) -> None:
        """Look these numbers up at each scrape, from now on."""
        for name, help_text, read in (
            ("queue_depth", "Calls that wait for memory or a worker.", gauges.queue_depth),
            (
                "tensor_bytes_in_flight",
                "Tensor memory held by calls, without weights that stay.",
                gauges.tensor_bytes_in_flight,
            ),
            ("tensor_pool_bytes", "Tensor memory in all.", gauges.tensor_pool_bytes),
            ("models", "Resident models.", gauges.models),
            (
                "model_bytes",
                "Tensor memory of weights that stay and are in use, by models or calls.",
                gauges.model_bytes,
            ),
            (
                "unused_tensor_bytes",
                "Tensor memory of weights that are kept by their digests, unused now.",
                gauges.unused_tensor_bytes,
            ),
            ("lease_bytes", "Tensor memory shared with callers.", gauges.lease_bytes),
        ):
            gauge = Gauge(f"convserve_{name}", help_text, registry=self.registry)
            gauge.set_function(read)
        self.registry.register(_Restarts(gauges))

    def count_call(
        self,
        rpc: str,
        code: str,
        *,
        seconds: float,
        stages: Mapping[str, float],
        received_bytes: int,
        sent_bytes: int,
    ) -> None:
        """Count one call that ended."""
        rpc_metrics = self._by_rpc.get(rpc)
        if rpc_metrics is None:
            rpc_metrics = self._by_rpc[rpc] = self._of_rpc(rpc)
        rpc_metrics.count(code, seconds, stages, received_bytes, sent_bytes)

    def _of_rpc(self, rpc: str) -> _RpcMetrics:
        return _RpcMetrics(
            calls=cache(partial(self._calls.labels, rpc)),
            call_seconds=self._call_seconds.labels(rpc),
            stage_seconds=cache(partial(self._stage_seconds.labels, rpc)),
            received=self._received.labels(rpc),
            sent=self._sent.labels(rpc),
        )

    def count_build(self, what: str, source: str, seconds: float) -> None:
        """Count a plan or kernel for a GPU, by where it came from, and how long that took."""
        self._builds.labels(what, source).inc()
        self._build_seconds.labels(what, source).inc(seconds)

    def watch_gpus(self, monitor: GpuMonitor) -> None:
        """Tell how GPUs are doing too, from now on."""
        self.registry.register(monitor)

    def count_work(self, device: str, steps: Mapping[tuple[str, str], int], rows: int) -> None:
        """Count the steps that each (engine, algorithm) of a device computed, in such a batch."""
        for labels, count in steps.items():
            self._steps.labels(device, *labels).inc(count)
        self._batch_rows.labels(device).observe(rows)


class _HttpServer(Protocol):
    """What `start_http_server` returns, as far as it is used here."""

    server_port: int

    def shutdown(self) -> None: ...
    def server_close(self) -> None: ...


class MetricsServer:
    """Answers Prometheus on an address of its own, until closed."""

    def __init__(self, metrics: Metrics, host: str, port: int) -> None:
        """Raises OSError if the address cannot be bound."""
        server: tuple[_HttpServer, Thread] = start_http_server(port, host, metrics.registry)
        self._server, self._thread = server

    @property
    def port(self) -> int:
        """The port that is bound."""
        return self._server.server_port

    def close(self) -> None:
        """Stop answering. Returns when the thread has ended."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
