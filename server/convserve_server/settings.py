"""What the server is told: flags, `CONVSERVE_...` variables, defaults, in that order.

This module alone reads the environment. Everything else takes a `Settings`, or a value from it.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from attrs import field, frozen

from convserve_server.engines import ENGINES

VERSION = version("convserve-server")
MAX_PORT = 65535
# Small work gains little from more threads than these, and several workers compute side by side.
THREADS_PER_WORKER = 4
_SIZE_UNITS = {"": 1, "B": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
_LOG_LEVELS = ("debug", "info", "warning", "error")
_LOG_FORMATS = ("json", "text")


@frozen
class Address:
    """Where a server listens: a TCP `host` and `port`, or the `path` of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False  # another host name: it may be anything


@frozen
class ModelFolder:
    """A model to load at the start: its name, and the folder that it is in."""

    name: str
    path: Path


@frozen(kw_only=True)
class Settings:
    """How one server runs. Sizes are in bytes and times in seconds."""

    listen: tuple[Address, ...] = (Address("127.0.0.1", 50051),)
    metrics: Address | None = Address("127.0.0.1", 9464)
    model: tuple[ModelFolder, ...] = ()
    engine: str = "cpu"
    threads: int | None = None  # of all workers together: the usable cores
    workers: int | None = None  # one for each THREADS_PER_WORKER threads
    tensor_pool_bytes: int = field(factory=lambda: memory_limit_bytes() // 2)
    worker_memory_bytes: int = field(factory=lambda: memory_limit_bytes() // 2)
    lease_bytes: int | None = None  # a quarter of the pool
    queue_length: int = 256
    batch_rows: int = 64
    batch_bytes: int = 8 << 20
    batch_wait_seconds: float = 0.001
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
    def max_lease_bytes(self) -> int:
        """How much memory is shared at most; none without a Unix socket."""
        if not any(address.path for address in self.listen):
            return 0
        return self.tensor_pool_bytes // 4 if self.lease_bytes is None else self.lease_bytes

    @property
    def threads_per_worker(self) -> int:
        """The threads of each, so that those of all do not fight for the cores."""
        return max(1, (self.threads or usable_threads()) // self.worker_count)


def parse_address(text: str) -> Address:
    """`host:port`, `[v6]:port` or `unix:/path`. Raises ValueError."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or len(os.fsencode(path)) > 107:
            raise ValueError(
                f"{text!r} is not unix:/path, absolute and of at most 107 bytes (Linux's limit)"
            )
        return Address(path=path)
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > MAX_PORT:
        raise ValueError(f"{text!r} is not host:port (port 0 to {MAX_PORT}) or unix:/path")
    return Address(host, int(port))


def parse_addresses(text: str) -> tuple[Address, ...]:
    """Addresses with commas between them. Raises ValueError."""
    return tuple(parse_address(part.strip()) for part in text.split(","))


def parse_models(text: str) -> tuple[ModelFolder, ...]:
    """`NAME=PATH`, several with commas between them. Raises ValueError."""
    return tuple(_parse_model(part.strip()) for part in text.split(","))


def _parse_model(text: str) -> ModelFolder:
    name, _, path = text.partition("=")
    if not re.fullmatch(r"[a-z0-9-]{1,64}", name) or not path:
        raise ValueError(f"{text!r} is not NAME=PATH, where a name has 1 to 64 of a-z 0-9 -")
    return ModelFolder(name, Path(path))


def parse_metrics(text: str) -> Address | None:
    """`host:port`, or `off`. Raises ValueError."""
    if text == "off":
        return None
    address = parse_address(text)
    if address.path:
        raise ValueError(f"{text!r} is a Unix socket; metrics need host:port, or off")
    return address


def parse_size(text: str) -> int:
    """Bytes, as a number alone or with B, KiB, MiB, GiB or TiB. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,18}) ?([A-Za-z]*)", text.strip())
    if match is None or match[2].upper() not in _SIZE_UNITS:
        raise ValueError(f"{text!r} is not a size such as 1073741824, 512MiB or 4GiB")
    return int(match[1]) * _SIZE_UNITS[match[2].upper()]


def parse_pool_size(text: str) -> int:
    """A size of at least 1 MiB. Raises ValueError."""
    size = parse_size(text)
    if not 1 << 20 <= size < 1 << 62:
        raise ValueError(f"{text!r} is not from 1MiB to 4194304TiB")
    return size


def _parse_count(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not minimum <= int(text) <= maximum:
            raise ValueError(f"{text!r} is not a whole number from {minimum} to {maximum}")
        return int(text)

    return parse


def parse_descriptor(text: str) -> int:
    """An open file descriptor that was handed to this process. Raises ValueError."""
    try:
        os.fstat(int(text))
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{text!r} is not an open file descriptor") from None
    return int(text)


def _parse_seconds(minimum: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not minimum <= seconds <= 1e6:
            raise ValueError(f"{text!r} is not a number of seconds from {minimum:g} to 1000000")
        return seconds

    return parse


def _parse_engine(text: str) -> str:
    if text not in ENGINES and ":" not in text:
        raise ValueError(f"{text!r} is not one of {', '.join(ENGINES)}, nor module:Class")
    return text


def _parse_choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
        return text

    return parse


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
        _parse_engine,
        "NAME",
        f"what computes: {', '.join(ENGINES)}, or module:Class (default: cpu)",
    ),
    _Option("threads", _parse_count(1, 1024), "N", "threads that compute (default: usable cores)"),
    _Option(
        "workers",
        _parse_count(1, 256),
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
        _parse_count(0, 100_000),
        "N",
        "calls that may wait for memory, and that may wait for a worker (default: 256)",
    ),
    _Option(
        "batch_rows",
        _parse_count(1, 4096),
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
        _parse_seconds(0.0),
        "S",
        "how long a call waits at most for others to join it, while many come (default: 0.001)",
    ),
    _Option(
        "max_calls",
        _parse_count(1, 100_000),
        "N",
        "calls that may be in progress, those that wait included (default: 1000)",
    ),
    _Option("max_call_seconds", _parse_seconds(0.001), "S", "the longest call (default: 600)"),
    _Option(
        "stall_seconds",
        _parse_seconds(0.001),
        "S",
        "the longest pause of a caller that sends or reads tensors (default: 60)",
    ),
    _Option(
        "model_idle_seconds",
        _parse_seconds(0.0),
        "S",
        "how long a model stays that nobody uses (default: 3600)",
    ),
    _Option(
        "grace_seconds",
        _parse_seconds(0.0),
        "S",
        "how long work in flight may go on when the server stops (default: 30)",
    ),
    _Option(
        "abandon_seconds",
        _parse_seconds(0.0),
        "S",
        "how long a computation that nobody waits for may go on before its worker is replaced "
        "(default: 5)",
    ),
    _Option("log_level", _parse_choice(*_LOG_LEVELS), "LEVEL", "debug, info, warning or error"),
    _Option("log_format", _parse_choice(*_LOG_FORMATS), "FORMAT", "json (default) or text"),
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


def usable_threads() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def memory_limit_bytes(root: Path = Path("/")) -> int:
    """The memory that this process may use: the machine's, or its control group's if less.

    `root` is where `sys/fs/cgroup` and `proc/self/cgroup` are looked up.
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in _limit_files(root):
        try:
            text = path.read_text().strip()
        except OSError:
            continue  # this kind of control group is not mounted here
        if text.isdigit():  # "max" is no limit
            limits.append(int(text))
    return min(limits)


def _limit_files(root: Path) -> list[Path]:
    """Version 2's limit of each group from this process's own up to the root, and version 1's."""
    mount = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    own = [mount / line[3:].lstrip("/") for line in lines if line.startswith("0::")]
    groups = [mount] + [
        group for path in own for group in (path, *path.parents) if mount in group.parents
    ]
    files = [group / "memory.max" for group in groups]
    return [*files, mount / "memory/memory.limit_in_bytes"]
