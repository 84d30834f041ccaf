"""Servers of others to measure against; see README.md beside this for how to install them."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.remote import Remote

HERE = Path(__file__).parent


@contextmanager
def pytriton(environment: Path) -> Iterator[Remote]:
    """PyTriton on loopback, and its usual client, asked with a model, threads and calls.

    `environment` is the virtual environment that both run in. The answer is a `Round`.
    """
    python = str(environment / "bin" / "python")
    ports = free_ports(3)
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with subprocess.Popen(
        [python, str(HERE / "pytriton_server.py"), *map(str, ports)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=own,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            # Triton's own processes write to the same pipe, sometimes without an end of line.
            if not any(line.endswith("ready\n") for line in server.stdout):
                raise RuntimeError(f"PyTriton in {environment} does not start")
            client = [python, str(HERE / "pytriton_client.py"), f"127.0.0.1:{ports[1]}"]
            with Remote(client) as ask:
                yield ask
        finally:
            server.stdin.close()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
