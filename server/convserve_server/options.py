"""The settings as they are given: their flags, how their texts are read, and what the help says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from convserve_server.addresses import parse_addresses, parse_metrics
from convserve_server.engines import ENGINES, GPU_ENGINES
from convserve_server.values import (
    parse_choice,
    parse_count,
    parse_descriptor,
    parse_device,
    parse_engine,
    parse_folder,
    parse_gpu_engine,
    parse_gpus,
    parse_models,
    parse_pool_size,
    parse_seconds,
    parse_size,
)

# Small work gains little from more threads than these, and several workers compute side by side.
THREADS_PER_WORKER = 4
_LOG_LEVELS = ("debug", "info", "warning", "error")
_LOG_FORMATS = ("json", "text")


@frozen
class Option:
    """One setting: its name, how its text is read, and what the help says."""

    name: str
    parse: Callable[[str], Any]
    value: str
    help: str
    repeats: bool = False  # each time it is given adds to the setting

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"CONVSERVE_{self.name.upper()}"


OPTIONS = (
    Option(
        "listen",
        parse_addresses,
        "ADDRESS",
        "host:port or unix:/path; may be repeated (default: 127.0.0.1:50051; port 0: any free one)",
        repeats=True,
    ),
    Option(
        "model",
        parse_models,
        "NAME=PATH",
        "load the model of this folder, network.json with weights.npz or <layer>.weight.npy, "
        "before serving, and keep it; may be repeated",
        repeats=True,
    ),
    Option(
        "metrics",
        parse_metrics,
        "HOST:PORT",
        "where Prometheus reads, or off (default: 127.0.0.1:9464)",
    ),
    Option(
        "engine",
        parse_engine,
        "NAME",
        f"what computes: {', '.join(ENGINES)}, or module:Class (default: cpu)",
    ),
    Option(
        "device",
        parse_device,
        "NAME",
        "what runs calls that name no device: cpu, cuda (any GPU), or cuda:N (default: any GPU "
        "if there is one)",
    ),
    Option(
        "gpus",
        parse_gpus,
        "WHICH",
        "GPUs to compute on: auto (all that there are), none, or their numbers, such as 0,1 "
        "(default: auto)",
    ),
    Option(
        "gpu_engine",
        parse_gpu_engine,
        "NAME",
        f"what computes on GPUs: {', '.join(GPU_ENGINES)}, or module:Class, for which GPUs are "
        "taken to be there as numbered (default: cuda)",
    ),
    Option(
        "gpu_memory_bytes",
        parse_pool_size,
        "SIZE",
        "memory that each GPU's worker reserves at its start; larger work is split (default: what "
        "is free, but for 2GiB or a twentieth)",
    ),
    Option(
        "plan_folder",
        parse_folder,
        "PATH",
        "where what was built for GPUs is kept (default: ~/.cache/convserve)",
    ),
    Option("threads", parse_count(1, 1024), "N", "threads that compute (default: usable cores)"),
    Option(
        "workers",
        parse_count(1, 256),
        "N",
        "processes that compute, among which the threads are divided (default: one for each "
        f"{THREADS_PER_WORKER} threads)",
    ),
    Option(
        "tensor_pool_bytes",
        parse_pool_size,
        "SIZE",
        "memory for the tensors of all calls and models together, such as 4GiB "
        "(default: half of the memory that this process may use)",
    ),
    Option(
        "worker_memory_bytes",
        parse_size,
        "SIZE",
        "memory for intermediate results and working memory of what is computed at once; larger "
        "work is split (default: the other half)",
    ),
    Option(
        "lease_bytes",
        parse_size,
        "SIZE",
        "how much of the tensor pool may be shared with callers through Unix sockets; 0: nothing "
        "(default: a quarter)",
    ),
    Option(
        "queue_length",
        parse_count(0, 100_000),
        "N",
        "calls that may wait for memory, and that may wait for a worker (default: 256)",
    ),
    Option(
        "batch_rows",
        parse_count(1, 4096),
        "N",
        "rows that calls of one kind are computed together in at most; 1: each alone (default: 64)",
    ),
    Option(
        "batch_bytes",
        parse_size,
        "SIZE",
        "tensors that such a batch gathers at most (default: 8MiB)",
    ),
    Option(
        "batch_wait_seconds",
        parse_seconds(0.0),
        "S",
        "how long a call waits at most for others to join it, while many come (default: 0.001)",
    ),
    Option(
        "planner_processes",
        parse_count(1, 64),
        "N",
        "processes for large plans and imports, and as many for cuDNN's planner, started when they "
        "are needed (default: half of the usable cores, up to 4)",
    ),
    Option(
        "planner_seconds",
        parse_seconds(0.001),
        "S",
        "how long one of them may work on a plan, an import or one convolution (default: 60)",
    ),
    Option(
        "max_calls",
        parse_count(1, 100_000),
        "N",
        "calls that may be in progress, those that wait included (default: 1000)",
    ),
    Option("max_call_seconds", parse_seconds(0.001), "S", "the longest call (default: 600)"),
    Option(
        "stall_seconds",
        parse_seconds(0.001),
        "S",
        "the longest pause of a caller that sends or reads tensors (default: 60)",
    ),
    Option(
        "model_idle_seconds",
        parse_seconds(0.0),
        "S",
        "how long a model stays that nobody uses (default: 3600)",
    ),
    Option(
        "grace_seconds",
        parse_seconds(0.0),
        "S",
        "how long work in flight may go on when the server stops (default: 30)",
    ),
    Option(
        "abandon_seconds",
        parse_seconds(0.0),
        "S",
        "how long a computation that nobody waits for may go on before its worker is replaced "
        "(default: 5)",
    ),
    Option("log_level", parse_choice(*_LOG_LEVELS), "LEVEL", "debug, info, warning or error"),
    Option("log_format", parse_choice(*_LOG_FORMATS), "FORMAT", "json (default) or text"),
    Option(
        "ready_fd",
        parse_descriptor,
        "FD",
        "write one line of JSON with the bound addresses to this descriptor, and close it",
    ),
    Option(
        "owner_fd",
        parse_descriptor,
        "FD",
        "stop when this descriptor reaches its end: the owner has gone",
    ),
)
