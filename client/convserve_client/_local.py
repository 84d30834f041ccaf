"""A server of one's own: a child process on a Unix socket that nobody else can reach."""

from __future__ import annotations

import importlib.util
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
from pathlib import Path
from typing import IO

from convserve.errors import FailedPreconditionError

START_SECONDS = 60.0
STOP_SECONDS = 10.0
LOG_TAIL_BYTES = 2000


class LocalServer:
    """A running child, its socket's directory, and the pipe that tells it that its owner lives.

    The child sees the pipe close, whatever ended its owner, and then ends by itself.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], directory: str, owner_fd: int, log: IO[bytes]
    ) -> None:
        self.pid = process.pid
        self.address = _address(directory)
        # Runs once: at stop(), when the owner forgets the server, or when the interpreter ends.
        self._finalizer = weakref.finalize(
            self, _stop, os.getpid(), process, directory, owner_fd, log
        )

    @classmethod
    def start(cls, threads: int | None = None, tensor_pool_bytes: int | None = None) -> LocalServer:
        """Start a server and wait until it answers. Raises FailedPreconditionError."""
        if importlib.util.find_spec("convserve_server") is None:
            raise FailedPreconditionError(
                "a local server needs convserve-server: pip install convserve-server"
            )
        directory = tempfile.mkdtemp(prefix="convserve-")  # mode 0700: only this user gets in
        log = tempfile.TemporaryFile()  # noqa: SIM115  # the server keeps it until it stops
        ready_fd, child_ready_fd = os.pipe()
        child_owner_fd, owner_fd = os.pipe()
        command = _command(directory, child_ready_fd, child_owner_fd, threads, tensor_pool_bytes)
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(child_ready_fd, child_owner_fd),
                start_new_session=True,  # Ctrl-C is for the owner, who then closes the pipe
            )
        except BaseException:
            _discard(directory, owner_fd, log)
            os.close(ready_fd)
            raise
        finally:
            os.close(child_ready_fd)
            os.close(child_owner_fd)
        server = cls(process, directory, owner_fd, log)
        try:
            _await_ready(ready_fd, log)
        except BaseException:
            server.stop()
            raise
        finally:
            os.close(ready_fd)
        return server

    def stop(self) -> None:
        """End the child and remove what it used. Safe to repeat."""
        self._finalizer()


def _address(directory: str) -> str:
    return f"unix:{Path(directory, 'socket')}"


def _command(
    directory: str,
    ready_fd: int,
    owner_fd: int,
    threads: int | None,
    tensor_pool_bytes: int | None,
) -> list[str]:
    command = [sys.executable, "-m", "convserve_client._launch", directory]
    command += ["--listen", _address(directory), "--metrics", "off", "--log-level", "warning"]
    command += ["--ready-fd", str(ready_fd), "--owner-fd", str(owner_fd)]
    if threads is not None:
        command += ["--threads", str(threads)]
    if tensor_pool_bytes is not None:
        command += ["--tensor-pool-bytes", str(tensor_pool_bytes)]
    return command


def _await_ready(ready_fd: int, log: IO[bytes]) -> None:
    """Wait for the child's line on the pipe, which closes without one if the child ends."""
    deadline = time.monotonic() + START_SECONDS
    received = b""
    while not received.endswith(b"\n"):
        readable, _, _ = select.select([ready_fd], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            raise FailedPreconditionError(
                f"the local server was not ready within {START_SECONDS:g} seconds{_tail(log)}"
            )
        data = os.read(ready_fd, 4096)
        if not data:
            raise FailedPreconditionError(f"the local server ended at its start{_tail(log)}")
        received += data


def _tail(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - LOG_TAIL_BYTES))
    text = log.read().decode(errors="replace").strip()
    return f"; its last words were:\n{text}" if text else ""


def _stop(
    owner: int, process: subprocess.Popen[bytes], directory: str, owner_fd: int, log: IO[bytes]
) -> None:
    if os.getpid() != owner:  # a fork of the owner that ends: the server is not its own
        return
    process.terminate()  # Popen sends nothing to a process that it has already reaped
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _discard(directory, owner_fd, log)


def _discard(directory: str, owner_fd: int, log: IO[bytes]) -> None:
    os.close(owner_fd)
    log.close()
    shutil.rmtree(directory, ignore_errors=True)
