"""Servers of one's own: they start, they work, and they leave nothing behind."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import convserve_client as cs
import numpy as np
import pytest

from tests.processes import children

SECONDS = 60


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary directories are made; empty again at the end."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


def wait_for_end(descriptor: int) -> None:
    with open(descriptor, closefd=True):
        readable, _, _ = select.select([descriptor], [], [], SECONDS)
        assert readable, "the process still runs"


def test_a_local_server_computes_and_leaves_nothing(directory: Path) -> None:
    before = children(os.getpid())
    with cs.local(threads=1) as client:
        y = client.conv(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)))
        np.testing.assert_array_equal(y, [[[[9.0]]]])
        assert client.info().devices[0].thread_count == 1
        [home] = directory.iterdir()
        assert home.stat().st_mode & 0o777 == 0o700
        [server] = set(children(os.getpid())) - set(before)
        ends = [os.pidfd_open(pid) for pid in (server, *children(server))]
        assert len(ends) > 1  # the worker too
    for end in ends:
        wait_for_end(end)
    client.close()
    with pytest.raises(cs.FailedPreconditionError, match="closed"):
        client.info()


def test_an_exception_ends_the_server_too(directory: Path) -> None:
    with pytest.raises(cs.ShapeError), cs.local(threads=1) as client:
        client.convolve([1.0], [[1.0]])
    assert list(directory.iterdir()) == []


def test_a_server_that_does_not_start_says_why(directory: Path) -> None:
    with pytest.raises(cs.FailedPreconditionError, match=r"ended at its start(.|\n)*1MiB"):
        cs.local(tensor_pool_bytes=1)
    assert list(directory.iterdir()) == []


OWNER = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
import convserve_client as cs
client = cs.local(threads=1)
print(client._server.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "ended"])
def test_a_server_ends_with_its_owner(directory: Path, is_killed: bool) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with owner:
        assert owner.stdout is not None
        server = int(owner.stdout.readline())
        ends = [os.pidfd_open(pid) for pid in (server, *children(server))]
        if is_killed:
            owner.kill()
        else:
            assert owner.stdin is not None
            owner.stdin.close()
        owner.wait(SECONDS)
        for end in ends:
            wait_for_end(end)


def test_a_fork_of_the_owner_leaves_the_server_alone(directory: Path) -> None:
    script = OWNER.replace(
        "sys.stdin.read()",
        "import os, weakref\n"
        "child = os.fork()\n"
        "if not child: client._server.stop(); os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "print(client.models()); client.close()",
    )
    command = [sys.executable, "-W", "ignore", "-c", script, str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.stdout.splitlines()[1:] == ["()"], done.stderr
