"""Clients in forks of the process that made them: each ends in time, with a result or a reason."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from tests.server import RunningServer, start_server

SECONDS = 60

PROGRAM = """
import asyncio, json, os, stat, sys, threading
import numpy as np
import convserve_client as cs
from convserve.errors import ConvserveError

address, x = sys.argv[1], np.ones((1, 1, 8, 8), np.float32)

def outcome(call):
    try:
        return str(call())
    except ConvserveError as error:
        return f"{type(error).__name__}: {error}"

def in_child(call):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, outcome(call).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    assert os.waitpid(pid, 0)[1] == 0
    return text

def pool(client):
    return client.pool(x, timeout=20).shape

def tell(*results):
    print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with start_server() as running:
        yield running


def run(server: RunningServer, program: str) -> list[str]:
    """What a program tells."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + textwrap.dedent(program), server.address],
        capture_output=True,
        timeout=SECONDS,
        check=True,
    )
    result: list[str] = json.loads(done.stdout)
    return result


def test_a_client_that_was_not_used_before_works_in_every_child(server) -> None:
    program = """
    client = cs.connect(address)
    children = [in_child(lambda: pool(client)) for _ in range(3)]
    tell(*children, outcome(lambda: pool(client)))
    """
    assert run(server, program) == ["(1, 1, 4, 4)"] * 4


def test_a_client_that_was_used_says_so_in_a_child_and_goes_on_in_the_parent(server) -> None:
    program = """
    with cs.connect(address) as client:
        pool(client)
        def close():
            client.close()
            return pool(client)
        tell(in_child(lambda: pool(client)), in_child(close), outcome(lambda: pool(client)))
    """
    used, closed, parent = run(server, program)
    assert "FailedPreconditionError: this client was used before a fork" in used
    assert closed.startswith("FailedPreconditionError")
    assert parent == "(1, 1, 4, 4)"


def test_a_child_of_an_idle_parent_may_connect_for_itself(server) -> None:
    program = """
    client = cs.connect(address)
    pool(client)
    def connect():
        with cs.connect(address) as own:
            return pool(own)
    tell(in_child(connect), outcome(lambda: pool(client)))
    """
    assert run(server, program) == ["(1, 1, 4, 4)"] * 2


def test_each_client_has_a_connection_of_its_own(server) -> None:
    program = """
    def sockets():
        paths = (os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd"))
        return sum(os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode) for path in paths)
    counts, clients = [sockets()], [cs.connect(address) for _ in range(3)]
    for client in clients:
        pool(client)
        counts.append(sockets())
    tell(*(str(count - counts[0]) for count in counts))
    """
    assert run(server, program) == ["0", "1", "2", "3"]


def test_a_child_of_a_calling_parent_is_told_before_it_hangs(server) -> None:
    program = """
    from convserve_client._forks import IN_FLIGHT
    client, goes_on = cs.connect(address), True
    pool(client)
    def work():
        while goes_on:
            pool(client)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    IN_FLIGHT.add(-1)  # at the fork, at least one call is in flight
    results = [in_child(lambda: pool(client)), in_child(lambda: pool(cs.connect(address)))]
    IN_FLIGHT.discard(-1)
    goes_on = False
    for thread in threads:
        thread.join()
    tell(*results, outcome(lambda: pool(client)))
    """
    used, new, parent = run(server, program)
    assert used.startswith("FailedPreconditionError: this client was used before a fork")
    assert new.startswith("FailedPreconditionError: this process was forked while")
    assert parent == "(1, 1, 4, 4)"


def test_an_awaiting_client_stays_with_its_loop(server) -> None:
    program = """
    async def main():
        async with await cs.connect_async(address) as client:
            await client.pool(x)
            def call():
                return asyncio.new_event_loop().run_until_complete(client.pool(x))
            return await asyncio.to_thread(in_child, call), (await client.pool(x)).shape
    child, parent = asyncio.run(main())
    tell(child, str(parent))
    """
    child, parent = run(server, program)
    assert child.startswith("FailedPreconditionError: this client was used before a fork")
    assert parent == "(1, 1, 4, 4)"
