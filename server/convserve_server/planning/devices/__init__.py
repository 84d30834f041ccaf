"""Devices as data: what is known of each, with unit, source and date of every figure.

One JSON file per device. None of them need be in the machine: they can be planned for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

from attrs import field, frozen
from convserve.servers import Device, Figure

# name -> unit of every figure that a profile may have; rates are without sparsity
UNITS = {
    "memory": "byte",
    "usable_memory": "byte",  # what is left to tensors
    "memory_bandwidth": "byte/s",
    "transfer_rate": "byte/s",  # to and from the host, one direction
    "l2_cache": "byte",
    "l3_cache": "byte",
    "multiprocessors": "1",
    "cores": "1",
    "fp32_lanes": "1",  # float32 units of one multiprocessor
    "fp32_flops_per_clock": "1",  # of one core
    "clock": "Hz",
    "tensor_clock": "Hz",  # of the tensor cores, where it differs
    "fp64_rate": "FLOP/s",
    "fp32_rate": "FLOP/s",
    "tf32_rate": "FLOP/s",
    "fp16_rate": "FLOP/s",
    "bf16_rate": "FLOP/s",
    "int8_rate": "OP/s",
}
GPU, CPU = "gpu", "cpu"
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@frozen
class DeviceProfile:
    """A device that can be planned for. `kind` is `gpu` or `cpu`.

    Raises ValueError for figures that are missing, unknown, not positive or without a source.
    """

    name: str
    engine: str
    kind: str
    description: str
    figures: Mapping[str, Figure] = field()
    memory_bytes: int = field(init=False)  # that tensors may take

    @figures.validator
    def _check(self, _: object, figures: Mapping[str, Figure]) -> None:
        for name, each in figures.items():
            if UNITS.get(name) != each.unit or each.name != name:
                raise ValueError(f"{self.name}: {name} in {each.unit!r} is no known figure")
            if not each.value > 0 or not each.source or not _DATE.fullmatch(each.date):
                raise ValueError(f"{self.name}: {name} needs a value, a source and a date")

    @memory_bytes.default
    def _usable(self) -> int:
        if "usable_memory" not in self.figures:
            raise ValueError(f"{self.name}: usable_memory is missing")
        return int(self.figures["usable_memory"].value)

    def value(self, name: str) -> float | None:
        """A figure's value, if it is known."""
        known = self.figures.get(name)
        return None if known is None else known.value

    def device(self) -> Device:
        """The device as clients see it: it can only be planned for."""
        return Device(
            name=self.name,
            engine=self.engine,
            description=self.description,
            memory_bytes=self.memory_bytes,
            thread_count=int(self.value("cores") or 0),
            available=False,
            figures=tuple(self.figures.values()),
        )


@lru_cache
def profiles() -> Mapping[str, DeviceProfile]:
    """All profiles by name: GPUs first, each kind by its name."""
    names = (file.name for file in files(__name__).iterdir())
    documents = (_document(name) for name in names if _is_profile(name))
    found = sorted(map(_profile, documents), key=lambda each: (each.kind != GPU, each.name))
    return {profile.name: profile for profile in found}


@lru_cache
def host_profile(name: str, engine: str, threads: int, memory_bytes: int) -> DeviceProfile:
    """The server's own processors: `memory_bytes` for tensors, rates as measured once."""
    known = _document("_cpu.json")
    source = f"measured on {known['machine']}: {known['method']}"

    def figure(name: str, value: float, source: str = source) -> Figure:
        return Figure(
            name=name, value=value, unit=UNITS[name], source=source, date=known["measured"]
        )

    figures = (
        figure("usable_memory", memory_bytes, "the server's pool for tensors"),
        figure("memory_bandwidth", known["memory_bandwidth"]),
        figure("fp32_rate", threads * known["fp32_rate_per_thread"]),
    )
    by_name = {each.name: each for each in figures if each.value}
    return DeviceProfile(name, engine, CPU, "", by_name)


@lru_cache
def gpu_profile(name: str, engine: str, description: str, memory_bytes: int) -> DeviceProfile:
    """A GPU of the server's own: `memory_bytes` for tensors, and the figures of its model.

    `description` is what the driver calls it. Of a model that has no profile nothing more is known.
    """
    words = re.findall(r"[a-z0-9]+", description.lower())
    models = {*words, *map("".join, pairwise(words))}  # `RTX 4090` is the profile rtx4090
    known = next((each for each in profiles().values() if each.name in models), None)
    memory = Figure(
        name="usable_memory",
        value=memory_bytes,
        unit=UNITS["usable_memory"],
        source="what the server's worker has reserved",
        date=date.today().isoformat(),
    )
    figures = {**(known.figures if known else {}), memory.name: memory}
    return DeviceProfile(name, engine, GPU, description, figures)


@lru_cache
def efficiency() -> Mapping[str, Any]:
    """What share of their rooflines devices of each kind reach, and what a launch takes."""
    return {GPU: _document("_gpu.json"), CPU: _document("_cpu.json")["efficiency"]}


def _document(name: str) -> Any:
    return json.loads((files(__name__) / name).read_text())


def _is_profile(file_name: str) -> bool:
    return file_name.endswith(".json") and not file_name.startswith("_")


def _profile(document: Mapping[str, Any]) -> DeviceProfile:
    figures = {name: Figure(name=name, **each) for name, each in document["figures"].items()}
    name, engine, kind, description = (
        document[key] for key in ("name", "engine", "kind", "description")
    )
    return DeviceProfile(name, engine, kind, description, figures)
