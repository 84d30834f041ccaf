"""How GPUs are doing, as NVIDIA's management library tells: it needs no CUDA, and no worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from threading import Lock
from typing import Any

from attrs import frozen
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

KEPT_SECONDS = 1.0  # whoever asks more often is told the same
# Bits of nvmlDeviceGetCurrentClocksThrottleReasons: what makes clocks lower than they could be.
THROTTLES = {
    0x4: "power_cap",
    0x8: "hardware_slowdown",
    0x20: "thermal_software",
    0x40: "thermal_hardware",
    0x80: "power_brake",
}
_TEMPERATURE_OF_GPU = 0  # NVML_TEMPERATURE_GPU


@frozen
class _Figure:
    """One number of a GPU: its series, and how it is read off a handle."""

    name: str
    help: str
    read: Callable[[Any, Any], float]


_FIGURES = (
    _Figure(
        "utilization_ratio",
        "Share of the last moments in which a kernel ran.",
        lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100,
    ),
    _Figure(
        "memory_used_bytes",
        "Memory in use, by whomever.",
        lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).used,
    ),
    _Figure(
        "memory_bytes", "Memory in all.", lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).total
    ),
    _Figure(
        "power_watts",
        "Power that is drawn.",
        lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
    ),
    _Figure(
        "temperature_celsius",
        "Temperature of the chip.",
        lambda nvml, gpu: nvml.nvmlDeviceGetTemperature(gpu, _TEMPERATURE_OF_GPU),
    ),
)


class GpuMonitor(Collector):
    """Gauges of GPUs, which are known by their places on the bus. What one does not tell, lacks."""

    def __init__(
        self, nvml: Any, buses: Mapping[str, str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`nvml` is pynvml's module, `buses` the places by the devices' names.

        Raises NVMLError if the library cannot be used here.
        """
        self._nvml = nvml
        self._clock = clock
        self._lock = Lock()  # metrics are asked for in a thread of their own
        self._is_open = True
        self._read_at = float("-inf")
        self._families: list[GaugeMetricFamily] = []
        nvml.nvmlInit()
        self._gpus = {
            device: nvml.nvmlDeviceGetHandleByPciBusId(bus.encode())
            for device, bus in buses.items()
        }

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See `Collector`."""
        with self._lock:
            now = self._clock()
            if self._is_open and now - self._read_at >= KEPT_SECONDS:
                self._families, self._read_at = self._read(), now
            yield from self._families

    def close(self) -> None:
        """Let go of the library. Idempotent."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                self._families = []
                self._nvml.nvmlShutdown()

    def _read(self) -> list[GaugeMetricFamily]:
        return [*map(self._gauge, _FIGURES), self._throttles()]

    def _gauge(self, figure: _Figure) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"convserve_gpu_{figure.name}", figure.help, labels=["device"])
        for device, gpu in self._gpus.items():
            with suppress(self._nvml.NVMLError):
                family.add_metric([device], figure.read(self._nvml, gpu))
        return family

    def _throttles(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "convserve_gpu_throttled", "What lowers the clocks now.", labels=["device", "reason"]
        )
        for device, gpu in self._gpus.items():
            with suppress(self._nvml.NVMLError):
                bits = self._nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)
                for bit, reason in THROTTLES.items():
                    family.add_metric([device, reason], float(bool(bits & bit)))
        return family


def open_monitor(buses: Mapping[str, str]) -> GpuMonitor | None:
    """A monitor; None without GPUs, without `nvidia-ml-py`, or where NVML cannot be used."""
    if not buses:
        return None
    try:
        nvml: Any = import_module("pynvml")
    except ImportError:
        return None
    try:
        return GpuMonitor(nvml, buses)
    except nvml.NVMLError:
        return None
