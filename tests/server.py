"""A live server in a process of its own, for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import IO, Any, Self

START_SECONDS = 60
STOP_SECONDS = 30


class RunningServer:
    """A server that answers. Leaving its block stops it."""

    def __init__(
        self, process: subprocess.Popen[bytes], owner_fd: int, log: IO[bytes], ready: dict[str, Any]
    ) -> None:
        self._process = process
        self._owner_fd = owner_fd
        self._log = log
        self.addresses: list[str] = ready["addresses"]
        self.metrics_address: str | None = ready["metrics"]

    @property
    def address(self) -> str:
        """The first address."""
        return self.addresses[0]

    @property
    def pid(self) -> int:
        """The front's process id."""
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything that the server has logged."""
        return _content(self._log)

    @property
    def events(self) -> list[dict[str, Any]]:
        """What the server has logged as JSON (its other output is left out)."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    def leave(self) -> None:
        """Disappear as an owner does that was killed."""
        os.close(self._owner_fd)
        self._owner_fd = -1

    def terminate(self) -> None:
        """Tell it to stop, and do not wait."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait until it has ended. Returns its exit code."""
        return self._process.wait(STOP_SECONDS)

    def stop(self) -> int:
        """Stop it, if it runs, and wait. Returns its exit code."""
        if self._process.poll() is None:
            self.terminate()
        try:
            return self.wait()
        finally:
            self._process.kill()
            self._process.wait()
            if self._owner_fd >= 0:
                self.leave()
            self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_server(*flags: str, environment: Mapping[str, str] | None = None) -> RunningServer:
    """Start a server on free loopback ports, or where the flags say. Raises RuntimeError.

    It looks for no GPU, so that a test is the same everywhere.
    """
    ready_read, ready_write = os.pipe()
    owner_read, owner_write = os.pipe()
    log = tempfile.TemporaryFile()  # noqa: SIM115  # the RunningServer closes it
    defaults = {"--listen": "127.0.0.1:0", "--metrics": "127.0.0.1:0", "--gpus": "none"}
    given = [part for item in defaults.items() if item[0] not in flags for part in item]
    descriptors = ["--ready-fd", str(ready_write), "--owner-fd", str(owner_read)]
    process = subprocess.Popen(
        [sys.executable, "-m", "convserve_server", *given, *descriptors, *flags],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=(ready_write, owner_read),
        env={**os.environ, **(environment or {})},
    )
    os.close(ready_write)
    os.close(owner_read)
    with os.fdopen(ready_read) as ready:
        line = ready.readline()  # ends also if the server dies: then nobody else can write
    if not line:
        code = process.wait(STOP_SECONDS)
        os.close(owner_write)
        with log:
            raise RuntimeError(f"the server ended with code {code}:\n{_content(log)}")
    return RunningServer(process, owner_write, log, json.loads(line))


def _content(log: IO[bytes]) -> str:
    return os.pread(log.fileno(), 1 << 24, 0).decode()
