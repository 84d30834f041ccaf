"""The devices of a server: each gets its workers, is started, and becomes a target of calls.

Builds for `app.py` what there is one of for each device.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from attrs import frozen
from convserve.errors import ConvserveError, UnavailableError, WorkerDiedError
from convserve.servers import Device

from convserve_server.engines import GPU_ENGINES, load_advisor
from convserve_server.engines.base import DeviceFacts, EngineSpec
from convserve_server.engines.cuda.findings import Findings, Gpu
from convserve_server.listening import StartError
from convserve_server.observability.logs import fields
from convserve_server.scheduling.dispatch import Dispatcher
from convserve_server.scheduling.pool import WorkerPool
from convserve_server.services.plans import Host
from convserve_server.services.targets import CPU, GPUS, Preparation, Target
from convserve_server.settings import Settings, gpu_environment
from convserve_server.workers.arena import Arena

LANES = 3  # one copies in, one computes, one copies out
GPU_READY_SECONDS = 180.0  # memory is reserved and pinned, which takes 0.2 s per GiB

PreparationFor: TypeAlias = Callable[[DeviceFacts], Preparation]  # GPUs of one kind

_LOG = logging.getLogger(__name__)


@frozen(eq=False)
class Station:
    """A device and its workers, who have `budget_bytes` for what they compute."""

    name: str
    engine: EngineSpec
    pool: WorkerPool
    budget_bytes: int


def make_stations(settings: Settings, arena: Arena, gpus: Sequence[Gpu]) -> tuple[Station, ...]:
    """The CPU's, and one for each GPU."""
    engine = EngineSpec(settings.engine, {"threads": settings.threads_per_worker})
    budget_bytes = settings.worker_memory_bytes
    pool = _make_pool(settings, arena, engine, budget_bytes, workers=settings.worker_count)
    others = (_gpu_station(settings, arena, gpu) for gpu in gpus)
    return (Station(CPU, engine, pool, budget_bytes), *others)


def _gpu_station(settings: Settings, arena: Arena, gpu: Gpu) -> Station:
    budget_bytes = gpu.usable_bytes
    if settings.gpu_memory_bytes is not None:
        budget_bytes = settings.gpu_memory_bytes
    options: dict[str, int | str] = {
        "lanes": LANES,
        "memory_bytes": budget_bytes,
        "plan_folder": str(settings.plan_folder),
    }
    engine = EngineSpec(settings.gpu_engine, options, gpu_environment(gpu.number))
    pool = _make_pool(
        settings, arena, engine, budget_bytes, workers=1, ready_seconds=GPU_READY_SECONDS
    )
    return Station(f"{GPUS}:{gpu.number}", engine, pool, budget_bytes)


def _make_pool(
    settings: Settings,
    arena: Arena,
    engine: EngineSpec,
    budget_bytes: int,
    *,
    workers: int,
    ready_seconds: float = 60.0,
) -> WorkerPool:
    dispatcher = Dispatcher(
        queue_limit=settings.queue_length,
        working_budget_bytes=budget_bytes,
        batch_rows=settings.batch_rows,
        batch_bytes=settings.batch_bytes,
        batch_wait_seconds=settings.batch_wait_seconds,
        lanes=engine.lanes,
    )
    return WorkerPool(
        arena,
        engine,
        dispatcher,
        workers=workers,
        gather_seconds=settings.batch_wait_seconds,
        ready_seconds=ready_seconds,
        abandon_seconds=settings.abandon_seconds,
    )


async def start_stations(
    settings: Settings,
    arena: Arena,
    stations: Sequence[Station],
    preparation_for: PreparationFor,
) -> tuple[list[Target], list[Device]]:
    """Start all workers at once: targets, and the devices that cannot be used after all.

    `preparation_for` is for GPUs of our own engine. Raises StartError if the CPU cannot be used.
    """
    failures = await asyncio.gather(*(_start(settings, station) for station in stations))
    targets, failed = [], []
    for station, failure in zip(stations, failures, strict=True):
        if failure is None:
            device = _device(settings, arena, station)
            targets.append(_target(settings, station, device, preparation_for))
        elif station.name == CPU:
            raise StartError(str(failure))
        else:
            _LOG.error("a GPU is not used", extra=fields(device=station.name, message=str(failure)))
            failed.append(_missing(station.name, station.engine.name, str(failure)))
    return targets, failed


async def _start(settings: Settings, station: Station) -> ConvserveError | None:
    if station.name != CPU and not station.budget_bytes:
        return UnavailableError("none of its memory is free; ask for some with --gpu-memory-bytes")
    try:
        if station.engine.name in GPU_ENGINES:  # others keep nothing there
            _open_folder(settings.plan_folder)
        await station.pool.start()
    except WorkerDiedError as error:
        return error
    except OSError as error:
        return UnavailableError(
            f"the folder for plans, {settings.plan_folder}, cannot be used: {error.strerror}; give "
            "another with --plan-folder"
        )
    return None


def _open_folder(path: Path) -> None:
    """Make it if it is not there, and see that it can be read. Raises OSError."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.scandir(path):
        pass


def _target(
    settings: Settings, station: Station, device: Device, preparation_for: PreparationFor
) -> Target:
    threads, facts = settings.threads_per_worker, station.pool.device
    gpu = "" if facts is None else facts.name
    # A GPU's worker may have taken a little less than it was told to.
    budget_bytes = station.budget_bytes if facts is None else facts.memory_bytes
    return Target(
        device=device,
        host=Host(device.name, device.engine, threads, device.memory_bytes, gpu),
        pool=station.pool,
        advisor=load_advisor(device.engine, threads),
        budget_bytes=budget_bytes,
        lanes=station.engine.lanes,
        preparation=preparation_for(facts) if facts and facts.properties else None,
    )


def _device(settings: Settings, arena: Arena, station: Station) -> Device:
    """What callers are told of a device that has been started."""
    name, engine, facts = station.name, station.engine.name, station.pool.device
    if facts is not None:
        return Device(
            name=name, engine=engine, description=facts.name, memory_bytes=facts.memory_bytes
        )
    return Device(
        name=name,
        engine=engine,
        description=cpu_name(),
        memory_bytes=arena.capacity_bytes,
        thread_count=settings.worker_count * settings.threads_per_worker,
    )


def missing_gpus(settings: Settings, found: Findings) -> Iterator[Device]:
    """GPUs that are not there, with the reason: those that the settings name, or any."""
    there = {gpu.number for gpu in found.gpus}
    lacking = [f"{GPUS}:{number}" for number in settings.gpus or () if number not in there]
    if not settings.gpus and not there:
        lacking = [GPUS]
    reason = found.reason or "there is no such GPU"
    level = logging.ERROR if settings.gpus else logging.INFO  # somebody counts on those
    for name in lacking:
        _LOG.log(level, "a GPU is not used", extra=fields(device=name, message=reason))
        yield _missing(name, settings.gpu_engine, reason)


def _missing(name: str, engine: str, reason: str) -> Device:
    return Device(name=name, engine=engine, description=reason, available=False)


def cpu_name() -> str:
    """The processor's name, for people."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
