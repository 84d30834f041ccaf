"""Devices that cannot be started, and why."""

import asyncio
from pathlib import Path

from convserve.errors import WorkerDiedError
from convserve_server.engines.base import EngineSpec
from convserve_server.services.targets import CPU
from convserve_server.settings import Settings
from convserve_server.stations import Station, start_stations
from convserve_server.workers.arena import Arena


class Pool:
    """Workers that stand ready at once, or never."""

    device = None

    def __init__(self, failure: str = "") -> None:
        self.started = False
        self._failure = failure

    async def start(self) -> None:
        if self._failure:
            raise WorkerDiedError(self._failure)
        self.started = True


def started(folder: Path, gpu: Pool):
    """The targets and the missing devices of a server with a GPU."""
    stations = (
        Station(CPU, EngineSpec("cpu", {}), Pool(), 1 << 20),
        Station("cuda:0", EngineSpec("cuda", {}), gpu, 1 << 20),
    )
    arena = Arena(1 << 20)
    try:
        return asyncio.run(start_stations(Settings(plan_folder=folder), arena, stations, None))
    finally:
        arena.close()


def test_a_folder_for_plans_is_made(tmp_path):
    targets, missing = started(tmp_path / "a" / "b", Pool())
    assert [target.device.name for target in targets] == ["cpu", "cuda:0"]
    assert missing == []
    assert (tmp_path / "a" / "b").is_dir()


def test_a_gpu_without_a_folder_for_plans_is_not_used(tmp_path):
    file = tmp_path / "file"
    file.touch()
    gpu = Pool()
    targets, (missing,) = started(file, gpu)
    assert [target.device.name for target in targets] == ["cpu"]
    assert not missing.available
    assert missing.description == (
        f"the folder for plans, {file}, cannot be used: File exists; give another with "
        "--plan-folder"
    )
    assert not gpu.started


def test_a_gpu_whose_worker_does_not_start_is_not_used(tmp_path):
    targets, (missing,) = started(tmp_path, Pool("it exited with code 1"))
    assert [target.device.name for target in targets] == ["cpu"]
    assert missing.description == "it exited with code 1"
