"""Gauges of GPUs, with a library in NVML's place."""

import pytest
from convserve_server.observability import nvml
from convserve_server.observability.metrics import Metrics
from convserve_server.observability.nvml import GpuMonitor, open_monitor


class NVMLError(Exception):
    pass


class Usage:
    """What NVML's structures have."""

    def __init__(self, **values):
        self.__dict__ |= values


class Nvml:
    """Two GPUs, of which the second tells of nothing but its temperature."""

    NVMLError = NVMLError

    def __init__(self, *, works=True):
        self.works = works
        self.users = 0
        self.looks = 0

    def nvmlInit(self):  # noqa: N802
        if not self.works:
            raise NVMLError("driver not loaded")
        self.users += 1

    def nvmlShutdown(self):  # noqa: N802
        self.users -= 1

    def nvmlDeviceGetHandleByPciBusId(self, bus):  # noqa: N802
        return {b"0000:01:00.0": 1, b"0000:02:00.0": 2}[bus]

    def nvmlDeviceGetUtilizationRates(self, gpu):  # noqa: N802
        self.looks += 1
        return Usage(gpu=self._of_first(gpu, 90))

    def nvmlDeviceGetMemoryInfo(self, gpu):  # noqa: N802
        return Usage(used=self._of_first(gpu, 3 << 30), total=80 << 30)

    def nvmlDeviceGetPowerUsage(self, gpu):  # noqa: N802
        return self._of_first(gpu, 350_500)

    def nvmlDeviceGetTemperature(self, gpu, sensor):  # noqa: N802
        assert self.users
        assert sensor == 0
        return 60 + gpu

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, gpu):  # noqa: N802
        return self._of_first(gpu, 0x1 | 0x4 | 0x40)

    def _of_first(self, gpu, value):
        if gpu != 1:
            raise NVMLError("not supported")
        return value


BUSES = {"cuda:0": "0000:01:00.0", "cuda:1": "0000:02:00.0"}


class Clock:
    now = 10.0

    def __call__(self):
        return self.now


@pytest.fixture
def library():
    return Nvml()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def monitor(library, clock):
    made = GpuMonitor(library, BUSES, clock)
    yield made
    made.close()
    assert library.users == 0


def test_what_a_gpu_tells_is_a_gauge_and_what_it_does_not_tell_lacks(monitor):
    metrics = Metrics()
    metrics.watch_gpus(monitor)

    def value(name, **labels):
        return metrics.registry.get_sample_value(f"convserve_gpu_{name}", labels)

    assert value("utilization_ratio", device="cuda:0") == 0.9
    assert value("memory_used_bytes", device="cuda:0") == 3 << 30
    assert value("memory_bytes", device="cuda:0") == 80 << 30
    assert value("power_watts", device="cuda:0") == 350.5
    assert value("temperature_celsius", device="cuda:0") == 61
    assert value("temperature_celsius", device="cuda:1") == 62
    assert value("power_watts", device="cuda:1") is None
    assert value("throttled", device="cuda:0", reason="power_cap") == 1
    assert value("throttled", device="cuda:0", reason="thermal_hardware") == 1
    assert value("throttled", device="cuda:0", reason="power_brake") == 0


def test_gpus_are_looked_at_once_a_second_at_most(monitor, library, clock):
    def looks():
        list(monitor.collect())
        return library.looks

    first = looks()
    clock.now += 0.5
    assert looks() == first
    clock.now += 0.5
    assert looks() == 2 * first


def test_a_closed_monitor_tells_nothing_and_asks_for_nothing(monitor, library, clock):
    list(monitor.collect())
    monitor.close()
    clock.now += 10
    assert list(monitor.collect()) == []
    monitor.close()


def test_without_gpus_or_the_library_there_is_no_monitor(monkeypatch, library):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(nvml, "import_module", missing)
    assert open_monitor({}) is None
    assert open_monitor(BUSES) is None
    monkeypatch.setattr(nvml, "import_module", lambda name: Nvml(works=False))
    assert open_monitor(BUSES) is None
    monkeypatch.setattr(nvml, "import_module", lambda name: library)
    made = open_monitor(BUSES)
    made.close()
