"""The look for GPUs: made by a process of its own, once, when a server starts."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import msgspec
from attrs import evolve
from convserve.servers import Library

from convserve_server.children import how_it_ended
from convserve_server.engines.cuda.findings import Findings, Gpu
from convserve_server.settings import Settings

PROBE_SECONDS = 30.0
PROBE = "convserve_server.engines.cuda.probe"
CPU_LIBRARIES = ("numpy", "scipy", "onnxruntime")
NOT_INSTALLED = "CuPy is not installed: pip install 'convserve-server[cuda]'"
_decoder = msgspec.json.Decoder(Findings)


async def find_gpus(settings: Settings) -> Findings:
    """The GPUs to compute on, as the settings want them; `reason` says why there is none."""
    wanted = settings.gpus
    if wanted == ():
        return Findings(reason="the server was started with --gpus none")
    if settings.gpu_engine != "cuda":  # nobody but the engine knows what it computes on
        return Findings(gpus=tuple(Gpu(number=number) for number in wanted or ()))
    if find_spec("cupy") is None:
        return Findings(reason=NOT_INSTALLED)
    found = await ask_probe([sys.executable, "-P", "-m", PROBE], PROBE_SECONDS)
    if wanted is None:
        return found
    return evolve(found, gpus=tuple(gpu for gpu in found.gpus if gpu.number in wanted))


def libraries(found: Mapping[str, str]) -> Iterator[Library]:
    """The libraries that compute: those of the CPU, and of GPUs the versions that were `found`."""
    for name in CPU_LIBRARIES:
        with suppress(PackageNotFoundError):
            yield Library(name=name, version=version(name))
    for name, number in found.items():
        yield Library(name=name, version=number)


async def ask_probe(command: Sequence[str], seconds: float) -> Findings:
    """What a process prints, if it is done in time."""
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE)
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    except TimeoutError:
        return Findings(reason=f"the look for GPUs took longer than {seconds:g} s")
    finally:
        await _end(process)
    if process.returncode:
        return Findings(reason=f"the look for GPUs {how_it_ended(process.returncode)}")
    try:
        return _decoder.decode(output)
    except msgspec.DecodeError:
        return Findings(reason=f"the look for GPUs printed {output[:200]!r}")


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.communicate()
