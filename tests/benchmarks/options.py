"""How benchmarks are run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from attrs import frozen

from tests.benchmarks.peers import pytriton


@frozen
class Options:
    """`quick` is for a look: few rounds. `peers` is the peers' virtual environment, if any."""

    quick: bool = False
    peers: Path | None = None

    def pick(self, full: int, quick: int) -> int:
        """A number of rounds, calls or seconds."""
        return quick if self.quick else full

    def pytriton(self) -> Any:
        """A context with what asks PyTriton; None in it where it is not installed."""
        return nullcontext() if self.peers is None else pytriton(self.peers)


@contextmanager
def echo_server() -> Iterator[str]:
    """The address of a bare grpc.aio server in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks._echo_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()
