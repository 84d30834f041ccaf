"""What the server is told: flags, `CONVSERVE_...` variables, defaults, in that order.

This module alone reads the environment. Everything else takes a `Settings`, or a value from it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from attrs import field, frozen

from convserve_server.addresses import Address, parse_addresses, parse_metrics
from convserve_server.engines import ENGINES, GPU_ENGINES
from convserve_server.machine import memory_limit_bytes, usable_threads
from convserve_server.values import (
    ModelFolder,
    parse_choice,
    parse_count,
    parse_descriptor,
    parse_device,
    parse_engine,
    parse_gpu_engine,
    parse_gpus,
    parse_models,
    parse_pool_size,
    parse_seconds,
    parse_size,
)

VERSION = version("convserve-server")
_ADDRESS = Address("127.0.0.1", 50051)
_METRICS_ADDRESS = Address("127.0.0.1", 9464)
# Small work gains little from more threads than these, and several workers compute side by side.
THREADS_PER_WORKER = 4
_LOG_LEVELS = ("debug", "info", "warning", "error")
_LOG_FORMATS = ("json", "text")


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


@frozen
class _Option:
    """One setting: its name, how its text is read, and what the help says."""

    name: str
    parse: Callable[[str], Any]
    value: str
    help: str
    repeats: bool = False  # each time it is given adds to the setting

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return f"CONVSERVE_{self.name.upper()}"


_OPTIONS = (
    _Option(
        "listen",
        parse_addresses,
        "ADDRESS",
        "host:port or unix:/path; may be repeated (default: 127.0.0.1:50051; port 0: any free one)",
        repeats=True,
    ),
    _Option(
        "model",
        parse_models,
        "NAME=PATH",
        "load the model of this folder, network.json with weights.npz or <layer>.weight.npy, "
        "before serving, and keep it; may be repeated",
        repeats=True,
    ),
    _Option(
        "metrics",
        parse_metrics,
        "HOST:PORT",
        "where Prometheus reads, or off (default: 127.0.0.1:9464)",
    ),
    _Option(
        "engine",
        parse_engine,
        "NAME",
        f"what computes: {', '.join(ENGINES)}, or module:Class (default: cpu)",
    ),
    _Option(
        "device",
        parse_device,
        "NAME",
        "what runs calls that name no device: cpu, cuda (any GPU), or cuda:N (default: any GPU "
        "if there is one)",
    ),
    _Option(
        "gpus",
        parse_gpus,
        "WHICH",
        "GPUs to compute on: auto (all that there are), none, or their numbers, such as 0,1 "
        "(default: auto)",
    ),
    _Option(
        "gpu_engine",
        parse_gpu_engine,
        "NAME",
        f"what computes on GPUs: {', '.join(GPU_ENGINES)}, or module:Class, for which GPUs are "
        "taken to be there as numbered (default: cuda)",
    ),
    _Option(
        "gpu_memory_bytes",
        parse_size,
        "SIZE",
        "memory that each GPU's worker reserves at its start; larger work is split (default: what "
        "is free, but for 2GiB or a twentieth)",
    ),
    _Option(
        "plan_folder",
        Path,
        "PATH",
        "where what was built for GPUs is kept (default: ~/.cache/convserve)",
    ),
    _Option("threads", parse_count(1, 1024), "N", "threads that compute (default: usable cores)"),
    _Option(
        "workers",
        parse_count(1, 256),
        "N",
        "processes that compute, among which the threads are divided (default: one for each "
        f"{THREADS_PER_WORKER} threads)",
    ),
    _Option(
        "tensor_pool_bytes",
        parse_pool_size,
        "SIZE",
        "memory for the tensors of all calls and models together, such as 4GiB "
        "(default: half of the memory that this process may use)",
    ),
    _Option(
        "worker_memory_bytes",
        parse_size,
        "SIZE",
        "memory for intermediate results and working memory of what is computed at once; larger "
        "work is split (default: the other half)",
    ),
    _Option(
        "lease_bytes",
        parse_size,
        "SIZE",
        "how much of the tensor pool may be shared with callers through Unix sockets; 0: nothing "
        "(default: a quarter)",
    ),
    _Option(
        "queue_length",
        parse_count(0, 100_000),
        "N",
        "calls that may wait for memory, and that may wait for a worker (default: 256)",
    ),
    _Option(
        "batch_rows",
        parse_count(1, 4096),
        "N",
        "rows that calls of one kind are computed together in at most; 1: each alone (default: 64)",
    ),
    _Option(
        "batch_bytes",
        parse_size,
        "SIZE",
        "tensors that such a batch gathers at most (default: 8MiB)",
    ),
    _Option(
        "batch_wait_seconds",
        parse_seconds(0.0),
        "S",
        "how long a call waits at most for others to join it, while many come (default: 0.001)",
    ),
    _Option(
        "planner_processes",
        parse_count(1, 64),
        "N",
        "processes for large plans and imports, and as many for cuDNN's planner, started when they "
        "are needed (default: half of the usable cores, up to 4)",
    ),
    _Option(
        "planner_seconds",
        parse_seconds(0.001),
        "S",
        "how long one of them may work on a plan, an import or one convolution (default: 60)",
    ),
    _Option(
        "max_calls",
        parse_count(1, 100_000),
        "N",
        "calls that may be in progress, those that wait included (default: 1000)",
    ),
    _Option("max_call_seconds", parse_seconds(0.001), "S", "the longest call (default: 600)"),
    _Option(
        "stall_seconds",
        parse_seconds(0.001),
        "S",
        "the longest pause of a caller that sends or reads tensors (default: 60)",
    ),
    _Option(
        "model_idle_seconds",
        parse_seconds(0.0),
        "S",
        "how long a model stays that nobody uses (default: 3600)",
    ),
    _Option(
        "grace_seconds",
        parse_seconds(0.0),
        "S",
        "how long work in flight may go on when the server stops (default: 30)",
    ),
    _Option(
        "abandon_seconds",
        parse_seconds(0.0),
        "S",
        "how long a computation that nobody waits for may go on before its worker is replaced "
        "(default: 5)",
    ),
    _Option("log_level", parse_choice(*_LOG_LEVELS), "LEVEL", "debug, info, warning or error"),
    _Option("log_format", parse_choice(*_LOG_FORMATS), "FORMAT", "json (default) or text"),
    _Option(
        "ready_fd",
        parse_descriptor,
        "FD",
        "write one line of JSON with the bound addresses to this descriptor, and close it",
    ),
    _Option(
        "owner_fd",
        parse_descriptor,
        "FD",
        "stop when this descriptor reaches its end: the owner has gone",
    ),
)


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """The settings of a command line and an environment.

    Prints a message and exits with code 2 for a bad value, as argparse does.
    """
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    values: dict[str, Any] = {}
    for option in _OPTIONS:
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
    name = visible.split(",")[number].strip() if visible else str(number)
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
    for option in _OPTIONS:
        parser.add_argument(
            option.flag, dest=option.name, action="append", metavar=option.value, help=option.help
        )
    return parser
