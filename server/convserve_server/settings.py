"""What the server is told: flags, `CONVSERVE_...` variables, defaults, in that order.

This module alone reads the environment. Everything else takes a `Settings`, or a value from it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from attrs import field, frozen

from convserve_server.addresses import Address
from convserve_server.machine import memory_limit_bytes, usable_threads
from convserve_server.options import OPTIONS, THREADS_PER_WORKER
from convserve_server.values import ModelFolder

VERSION = version("convserve-server")
_ADDRESS = Address("127.0.0.1", 50051)
_METRICS_ADDRESS = Address("127.0.0.1", 9464)


@frozen(kw_only=True)
class Settings:
    """How one server runs. Sizes are in bytes and times in seconds."""

    listen: tuple[Address, ...] = (_ADDRESS,)
    metrics: Address | None = _METRICS_ADDRESS
    model: tuple[ModelFolder, ...] = ()
    engine: str = "cpu"
    device: str = ""  # any GPU if there is one, else the CPU
    gpus: tuple[int, ...] | None = None  # all that can be used
    gpu_engine: str = "cuda"
    gpu_memory_bytes: int | None = None  # what is free, but for a margin
    plan_folder: Path = field(factory=lambda: Path(os.path.expanduser("~/.cache/convserve")))
    threads: int | None = None  # of all workers together: the usable cores
    workers: int | None = None  # one for each THREADS_PER_WORKER threads
    tensor_pool_bytes: int = field(factory=lambda: memory_limit_bytes() // 2)
    worker_memory_bytes: int = field(factory=lambda: memory_limit_bytes() // 2)
    lease_bytes: int | None = None  # a quarter of the pool
    queue_length: int = 256
    batch_rows: int = 64
    batch_bytes: int = 8 << 20
    batch_wait_seconds: float = 0.001
    planner_processes: int | None = None  # half the usable cores, up to 4
    planner_seconds: float = 60.0
    max_calls: int = 1000
    max_call_seconds: float = 600.0
    stall_seconds: float = 60.0
    model_idle_seconds: float = 3600.0
    grace_seconds: float = 30.0
    abandon_seconds: float = 5.0
    log_level: str = "info"
    log_format: str = "json"
    ready_fd: int | None = None
    owner_fd: int | None = None

    @property
    def worker_count(self) -> int:
        """How many workers compute."""
        threads = self.threads or usable_threads()
        return self.workers or max(1, threads // THREADS_PER_WORKER)

    @property
    def planner_count(self) -> int:
        """How many processes plan and import at once; as many ask cuDNN."""
        return self.planner_processes or max(1, min(4, usable_threads() // 2))

    @property
    def max_lease_bytes(self) -> int:
        """How much memory is shared at most; none without a Unix socket."""
        if not any(address.path for address in self.listen):
            return 0
        return self.tensor_pool_bytes // 4 if self.lease_bytes is None else self.lease_bytes

    @property
    def threads_per_worker(self) -> int:
        """The threads of each, so that those of all do not fight for the cores."""
        return max(1, (self.threads or usable_threads()) // self.worker_count)


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """The settings of a command line and an environment.

    Prints a message and exits with code 2 for a bad value, as argparse does.
    """
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    values: dict[str, Any] = {}
    for option in OPTIONS:
        texts, source = given[option.name], option.flag
        if texts is None and option.variable in environment:
            texts, source = [environment[option.variable]], option.variable
        if texts is None:
            continue
        try:
            parsed = [option.parse(text) for text in texts]
        except ValueError as error:
            parser.error(f"{source}: {error}")
        values[option.name] = sum(parsed, ()) if option.repeats else parsed[-1]
    return Settings(**values)


def settings_of_process(arguments: Sequence[str]) -> Settings:
    """`read_settings` with this process's environment."""
    return read_settings(arguments, os.environ)


def gpu_environment(number: int) -> dict[str, str]:
    """The environment of a process that sees one GPU, which has this number among ours."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in visible.split(",")] if visible else []
    # An engine of one's own may be given numbers of what is not visible to CUDA.
    name = names[number] if number < len(names) else str(number)
    return {**os.environ, "CUDA_VISIBLE_DEVICES": name}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="convserve-server",
        description="Plans and runs convolutions over gRPC.",
        epilog="Every flag is also read from the environment as CONVSERVE_ and its name in "
        "capitals, such as CONVSERVE_TENSOR_POOL_BYTES; a flag wins. CONVSERVE_LISTEN and "
        "CONVSERVE_MODEL take several values with commas between them.",
    )
    parser.add_argument("--version", action="version", version=f"convserve-server {VERSION}")
    for option in OPTIONS:
        parser.add_argument(
            option.flag, dest=option.name, action="append", metavar=option.value, help=option.help
        )
    return parser
