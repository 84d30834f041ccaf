"""The look for GPUs: what it costs where there is nothing, and what it says when it fails."""

import asyncio
import json
import re
import sys

import pytest
from convserve_server import gpus
from convserve_server.engines.cuda.findings import Findings, Gpu
from convserve_server.engines.cuda.probe import find_gpus
from convserve_server.gpus import ask_probe, libraries
from convserve_server.settings import Settings
from convserve_server.stations import missing_gpus

TWO = Findings(
    gpus=(Gpu(number=0, name="a GPU", memory_bytes=80 << 30, free_bytes=79 << 30), Gpu(number=1)),
    versions={"cuDNN": "9.19.0"},
)
AS_JSON = json.dumps(
    {
        "gpus": [
            {"number": 0, "name": "a GPU", "memory_bytes": 80 << 30, "free_bytes": 79 << 30},
            {"number": 1},
        ],
        "versions": {"cuDNN": "9.19.0"},
    }
)


def ask(program, seconds=60.0):
    return asyncio.run(ask_probe([sys.executable, "-c", program], seconds))


def find(**changes):
    return asyncio.run(gpus.find_gpus(Settings(**changes)))


def test_what_the_probe_prints_is_what_was_found():
    assert ask(f"print({AS_JSON!r})") == TWO


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os; os._exit(3)", "the look for GPUs exited with code 3"),
        ("import os; os.kill(os.getpid(), 11)", r"was ended by signal 11 \(SIGSEGV\)"),
        ("print('hello')", "the look for GPUs printed b'hello"),
    ],
)
def test_a_probe_that_fails_is_a_reason(program, reason):
    found = ask(program)
    assert found.gpus == ()
    assert re.search(reason, found.reason)


def test_a_probe_that_hangs_is_ended():
    found = ask("import signal; signal.pause()", seconds=0.2)
    assert found == Findings(reason="the look for GPUs took longer than 0.2 s")


def test_nothing_is_started_without_cupy(monkeypatch):
    monkeypatch.setattr(gpus, "find_spec", lambda name: None)
    monkeypatch.setattr(gpus, "ask_probe", None)
    assert find().reason == "CuPy is not installed: pip install 'convserve-server[cuda]'"
    assert find(gpus=()).reason == "the server was started with --gpus none"


@pytest.mark.parametrize(("wanted", "numbers"), [(None, [0, 1]), ((1,), [1]), ((0, 7), [0])])
def test_the_settings_narrow_what_was_found(monkeypatch, wanted, numbers):
    async def answer(command, seconds):
        return TWO

    monkeypatch.setattr(gpus, "find_spec", lambda name: True)
    monkeypatch.setattr(gpus, "ask_probe", answer)
    found = find(gpus=wanted)
    assert [gpu.number for gpu in found.gpus] == numbers
    lacking = [device.name for device in missing_gpus(Settings(gpus=wanted), found)]
    assert lacking == [f"cuda:{number}" for number in wanted or () if number not in numbers]


def test_an_engine_of_ones_own_has_the_gpus_that_are_named():
    found = find(gpus=(0, 2), gpu_engine="some.module:Engine")
    assert [gpu.number for gpu in found.gpus] == [0, 2]
    assert find(gpu_engine="some.module:Engine").gpus == ()


def test_a_margin_of_a_gpus_memory_is_left():
    assert TWO.gpus[0].usable_bytes == 75 << 30  # a twentieth
    small = Gpu(number=0, memory_bytes=8 << 30, free_bytes=7 << 30)
    assert small.usable_bytes == 5 << 30  # 2 GiB
    assert Gpu(number=0, memory_bytes=8 << 30, free_bytes=1 << 30).usable_bytes == 0


def test_libraries_are_told_with_their_versions():
    told = {each.name: each.version for each in libraries({"cuDNN": "9.19.0"})}
    assert told["cuDNN"] == "9.19.0"
    assert {"numpy", "scipy", "onnxruntime"} <= told.keys()


# The probe itself


class CudaError(Exception):
    def __init__(self, status):
        super().__init__(f"cudaError {status}")
        self.status = status


class Runtime:
    """CUDA's runtime as CuPy has it, with so many GPUs; or an error."""

    CUDARuntimeError = CudaError

    def __init__(self, count=0, error=0):
        self.count = count
        self.error = error
        self.device = None

    def driverGetVersion(self):  # noqa: N802
        return 13010

    def getDeviceCount(self):  # noqa: N802
        if self.error:
            raise CudaError(self.error)
        return self.count

    def getDeviceProperties(self, number):  # noqa: N802
        return {"name": b"a GPU", "totalGlobalMem": 100, "major": 9, "minor": 0}

    def setDevice(self, number):  # noqa: N802
        self.device = number

    def memGetInfo(self):  # noqa: N802
        return 90 - self.device, 100

    def deviceGetPCIBusId(self, number):  # noqa: N802
        return f"0000:{number:02x}:00.0"


def test_gpus_are_described():
    found = find_gpus(Runtime(2), {"CuPy": "14.2.0"})
    assert found.reason == ""
    assert found.versions == {"CuPy": "14.2.0", "CUDA driver": "13.1"}
    assert found.gpus[1] == Gpu(
        number=1,
        name="a GPU",
        memory_bytes=100,
        free_bytes=89,
        compute_capability="9.0",
        bus="0000:01:00.0",
    )


@pytest.mark.parametrize(
    ("runtime", "reason"),
    [
        (Runtime(), "no GPU is visible"),
        (Runtime(error=100), "the NVIDIA driver finds no GPU"),
        (Runtime(error=35), "the NVIDIA driver is too old for this version of CUDA"),
        (Runtime(error=802), "CUDA cannot be used: cudaError 802"),
    ],
)
def test_why_there_is_none(runtime, reason):
    found = find_gpus(runtime, {})
    assert (found.gpus, found.reason) == ((), reason)
