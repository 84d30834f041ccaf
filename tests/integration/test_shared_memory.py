"""Shared memory between live processes: it is right, it is bounded, and nobody can do harm."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import convserve_client as cs
import grpc
import numpy as np
import pytest
from convserve.layers import ReLU
from convserve.v1 import compute_service_pb2 as pb2

from tests.clients import KINDS, connected
from tests.fakes.wire_engine import DIE, FIFO, WAIT
from tests.leases import Lessee, fetch
from tests.processes import children
from tests.server import start_server
from tests.wire import call, header_of, inline

MIB = 1 << 20
ROOT = str(Path(__file__).parents[2])
X = np.arange(1 << 18, dtype=np.float32).reshape(1, 64, 64, 64)  # 1 MiB
W = np.ones((64, 1, 1, 1), np.float32)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A server on a Unix socket that shares 64 MiB, and on TCP; no test may stop it."""
    path = tmp_path_factory.mktemp("shared") / "socket"
    with start_server(
        "--listen", f"unix:{path}", "--listen", "127.0.0.1:0", "--tensor-pool-bytes=256MiB",
        "--workers=2", "--lease-bytes=64MiB",
    ) as running:  # fmt: skip
        yield running
        assert not [event for event in running.events if event["level"] == "error"]


@pytest.fixture
def channel(local):
    """A raw channel to the Unix socket, when nobody has a lease any more."""
    with grpc.insecure_channel(local.address) as made:
        take_everything(made)
        yield made


@pytest.fixture
def fifo(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.fixture
def steered(fifo, tmp_path):
    """A server of one's own whose engine can be steered."""
    with start_server(
        "--engine=tests.fakes.wire_engine:Steered",
        "--listen", f"unix:{tmp_path}/socket", "--abandon-seconds=0", "--lease-bytes=128MiB",
        environment={FIFO: str(fifo), "PYTHONPATH": ROOT},
    ) as running:  # fmt: skip
        yield running


@pytest.fixture(params=KINDS)
def client(request, local, channel):
    with connected(request.param, local.address) as made:
        yield made


def lies_in_shared_memory(array):
    """Whether an array's memory is one that others see, by the process's own map."""
    address = array.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if start <= address < end:
            return "convserve-lease" in line
    return False


def shared(lease_id, *places, offset=0, room=0):
    tensors = [pb2.SharedTensor(tensor=t, offset=o) for t, o in places]
    return pb2.Shared(lease_id=lease_id, tensors=tensors, output_offset=offset, output_bytes=room)


def request(x, where, *, data=b""):
    return pb2.RunInlineRequest(header=header_of([ReLU()], {"input": x}), data=[data], shared=where)


def test_a_lease_computes_in_place(channel):
    x = np.array([[-1.5, 2.5, 0.0, 3.0]], np.float32)
    with Lessee(channel, 1000) as lessee, lessee.map() as memory:
        assert lessee.answer.byte_count == 4096
        memory[64:80] = x.tobytes()
        where = shared(lessee.answer.lease_id, (0, 64), offset=128, room=64)
        [response] = call(channel, "RunInline", request(x, where))
        assert list(response.offsets) == [128]
        assert not any(response.data)
        np.testing.assert_array_equal(np.frombuffer(memory[128:144], "f4"), [0, 2.5, 0, 3])
        assert memory[:64] + memory[144:] == bytes(4096 - 80)


def test_results_may_come_in_the_answer_and_tensors_in_the_request(channel):
    x = np.array([[-1.0, 2.0]], np.float32)
    with Lessee(channel, 1) as lessee, lessee.map() as memory:
        memory[:8] = x.tobytes()
        name = lessee.answer.lease_id
        [response] = call(channel, "RunInline", request(x, shared(name, (0, 0))))
        assert response.data == [np.array([0, 2], np.float32).tobytes()]
        where = shared(name, offset=64, room=64)
        call(channel, "RunInline", request(x, where, data=x.tobytes()))
        assert memory[64:72] == response.data[0]


@pytest.mark.parametrize(
    ("places", "offset", "room", "field"),
    [
        ([(0, 4096)], 0, 0, "shared.tensors[0].offset"),
        ([(0, -64)], 0, 0, "shared.tensors[0].offset"),
        ([(0, 2**63 - 64)], 0, 0, "shared.tensors[0].offset"),
        ([(0, 8)], 0, 0, "shared.tensors[0].offset"),
        ([(1, 0)], 0, 0, "shared.tensors[0].tensor"),
        ([(-1, 0)], 0, 0, "shared.tensors[0].tensor"),
        ([(0, 0), (0, 64)], 0, 0, "shared.tensors[1].tensor"),
        ([(0, 0)], 0, 64, "shared.tensors[0].offset"),
        ([(0, 0)], 4096, 64, "shared.output_offset"),
        ([(0, 0)], -64, 64, "shared.output_offset"),
        ([(0, 0)], 64, 2**63 - 1, "shared.output_offset"),
        ([(0, 0)], 64, -1, "shared.output_bytes"),
        ([(0, 0)], 64, 63, "shared.output_bytes"),
    ],
)
def test_nothing_outside_is_touched(channel, places, offset, room, field):
    x = np.ones((1, 4), np.float32)
    with Lessee(channel, 4096) as lessee, lessee.map() as memory:
        where = shared(lessee.answer.lease_id, *places, offset=offset, room=room)
        with pytest.raises(cs.InvalidArgumentError) as caught:
            call(channel, "RunInline", request(x, where))
        assert caught.value.field == field
        assert memory[:] == bytes(4096)


def test_one_caller_does_not_find_anothers_lease_nor_its_own_after_the_end(channel):
    x = np.ones((1, 4), np.float32)
    with Lessee(channel, 1) as lessee:
        where = shared(lessee.answer.lease_id, (0, 0))
        call(channel, "RunInline", request(x, where))
        lessee.leave()
        for lost in (where, shared("", (0, 0)), shared("l-0123456789abcdef", (0, 0))):
            with pytest.raises(cs.LeaseNotFoundError):
                call(channel, "RunInline", request(x, lost))


def test_bytes_that_are_no_shared_are_refused(channel):
    raw = inline([ReLU()], {"input": np.ones((1, 4), np.float32)}).SerializeToString()
    with pytest.raises(cs.InvalidArgumentError):
        call(channel, "RunInline", raw + b"\x1a\x02\xff\xff", raw=True)


def test_only_callers_through_the_unix_socket_get_memory(local):
    with (
        grpc.insecure_channel(local.addresses[1]) as far,
        pytest.raises(cs.NotLocalError, match="Unix socket"),
        Lessee(far, 1),
    ):
        pass


def test_a_ticket_works_once_and_not_after_the_end(channel):
    with Lessee(channel, 1) as lessee:
        lessee.map().close()
        os.close(lessee.fd)
        assert fetch(lessee.answer.socket_path, lessee.answer.ticket) == []
    with Lessee(channel, 1) as lessee:
        lessee.leave()
        assert fetch(lessee.answer.socket_path, lessee.answer.ticket) == []


def test_the_memory_cannot_be_cut_short_under_the_server(channel):
    with Lessee(channel, 8192) as lessee, lessee.map():
        for size in (0, 4096, 16384):
            with pytest.raises(PermissionError):
                os.ftruncate(lessee.fd, size)


def test_a_second_message_ends_the_lease(channel):
    with Lessee(channel, 1, pb2.LeaseRequest(byte_count=1)) as lessee:
        assert isinstance(lessee.outcome(), cs.InvalidArgumentError)


def test_leases_are_bounded_and_those_that_end_make_room(channel):
    with pytest.raises(cs.TooLargeError) as too_large, Lessee(channel, 65 * MIB):
        pass
    assert too_large.value.metadata["limit_bytes"] == str(64 * MIB)
    with Lessee(channel, 48 * MIB) as lessee:
        with pytest.raises(cs.OverloadedError), Lessee(channel, 32 * MIB):
            pass
        lessee.leave()
    with Lessee(channel, 64 * MIB) as lessee:
        lessee.leave()


KILLED = """
import sys, time, grpc
from tests.leases import Lessee
lessee = Lessee(grpc.insecure_channel(sys.argv[1]), 64 << 20)
lessee.map()
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_caller_that_is_killed_leaves_nothing_behind(local, channel):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, local.address],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    with process:
        assert process.stdout.readline() == b"ready\n"
        process.kill()
    take_everything(channel)


def take_everything(channel):
    """Take and leave all the memory that there is, once the server knows that nobody has it."""
    while True:  # it learns of it from the kernel, very soon
        try:
            with Lessee(channel, 64 * MIB) as lessee:
                lessee.leave()
            return
        except cs.OverloadedError:
            continue


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def mappings(pid):
    return Path(f"/proc/{pid}/maps").read_text().count("convserve-lease")


def test_nothing_piles_up_in_the_server(local, channel):
    x = np.ones((1, 4), np.float32)

    def use():
        with Lessee(channel, 1 * MIB) as lessee:
            for _ in range(4):  # so that each worker has had it
                where = shared(lessee.answer.lease_id, (0, 0), offset=64, room=64)
                call(channel, "RunInline", request(x, where))
            lessee.leave()
        call(channel, "RunInline", inline([ReLU()], {"input": x}))

    for _ in range(3):
        use()
    before = descriptors(local.pid)
    for _ in range(20):
        use()
    assert descriptors(local.pid) <= before
    assert sum(map(mappings, (local.pid, *children(local.pid)))) <= 2  # until a worker's next job


def test_the_sdk_shares_and_the_values_are_right(client):
    for _ in range(3):
        y = client.conv(X, W, groups=64)
        np.testing.assert_array_equal(y, X)
        assert lies_in_shared_memory(y)
        assert y.flags.writeable
        assert y.flags.c_contiguous


def test_results_are_passed_on_without_a_copy_and_kept_as_they_are(client):
    first = client.conv(X, 2 * W, groups=64)
    second = client.conv(first, W, groups=64)
    third = client.conv(first[0], 3 * W, groups=64)
    first += 1
    np.testing.assert_array_equal(second, 2 * X)
    np.testing.assert_array_equal(third, 6 * X[0])
    np.testing.assert_array_equal(first, 2 * X + 1)


def test_out_and_every_layout_of_input(client):
    out = np.empty_like(X)
    assert client.conv(X, W, groups=64, out=out) is out
    np.testing.assert_array_equal(out, X)
    for x in (X.transpose(0, 1, 3, 2), X[:, :, ::2], X.astype(">f4"), np.asfortranarray(X)):
        np.testing.assert_array_equal(client.conv(x, W, groups=64), x)
    last = client.conv(np.moveaxis(X, 1, -1), W, groups=64, layout="channels_last")
    np.testing.assert_array_equal(last, np.moveaxis(X, 1, -1))


def test_models_signals_and_large_results(client):
    with client.load(cs.Conv(64, 1, groups=64, bias=False), {"conv1.weight": W}) as model:
        for _ in range(2):  # the size of the results is learnt by the first call
            y = model(X)
            np.testing.assert_array_equal(y, X)
            assert lies_in_shared_memory(y)
    signal = np.ones(1 << 18)
    assert client.convolve(signal, np.ones(3)).sum() == 3 * (1 << 18)
    small = np.ones((1, 1, 8, 8), np.float32)
    wide = client.conv(small, np.ones((8192, 1, 1, 1), np.float32))
    assert wide.shape == (1, 8192, 8, 8)
    assert (wide == 1).all()


def test_more_results_than_there_is_room_for(client):
    kept = [client.conv(X, (n + 1) * W, groups=64) for n in range(80)]
    assert lies_in_shared_memory(kept[0])
    assert not lies_in_shared_memory(kept[-1])
    for n, y in enumerate(kept):
        np.testing.assert_array_equal(y, (n + 1) * X)


def test_what_is_larger_than_any_lease_is_sent(client):
    x = np.zeros((1, 1, 20 * MIB), np.float32)
    y = client.conv(x, np.ones((1, 1, 1), np.float32))
    assert y.shape == x.shape
    assert not lies_in_shared_memory(y)


def test_an_error_costs_no_room(client):
    for _ in range(100):  # 1 MiB each, of 64
        with pytest.raises(cs.InvalidArgumentError):
            client.conv(X, np.ones((64, 2, 1, 1), np.float32), groups=64)
    assert lies_in_shared_memory(client.conv(X, W, groups=64))


def test_many_threads_share_one_client(local):
    with cs.connect(local.address) as client, ThreadPoolExecutor(8) as pool:

        def run(n):
            y = client.conv(X, n * W, groups=64)
            z = client.conv(y, W, groups=64)
            return bool((y == n * X).all() and (z == y).all())

        assert all(pool.map(run, range(1, 33)))


@pytest.mark.usefixtures("channel")
def test_arrays_outlive_the_client(local):
    with cs.connect(local.address) as client:
        y = client.conv(X, W, groups=64)
        assert lies_in_shared_memory(y)
    np.testing.assert_array_equal(y, X)
    y += 1
    np.testing.assert_array_equal(y, X + 1)


def test_a_server_that_shares_nothing_gets_the_tensors(tmp_path):
    path = f"unix:{tmp_path}/socket"
    with start_server("--listen", path, "--lease-bytes=0") as server:
        assert not Path(tmp_path, "socket.lease").exists()
        with cs.connect(server.address) as client:
            y = client.conv(X, W, groups=64)
            np.testing.assert_array_equal(y, X)
            assert not lies_in_shared_memory(y)
            assert client.info().limits.max_lease_bytes == 0


def test_a_restart_of_the_server_loses_no_array_and_no_call(tmp_path):
    flags = ("--listen", f"unix:{tmp_path}/socket", "--grace-seconds=600")
    with start_server(*flags) as first, cs.connect(first.address) as client:
        before = client.conv(X, W, groups=64)
        assert first.stop() == 0  # an open lease holds up no stop
        assert not Path(tmp_path, "socket.lease").exists()
        with start_server(*flags):
            after = client.conv(X, 2 * W, groups=64)
            assert lies_in_shared_memory(after)
            np.testing.assert_array_equal(after, 2 * X)
    np.testing.assert_array_equal(before, X)


def test_a_server_that_was_killed_leaves_the_arrays_and_its_successor_shares(tmp_path):
    flags = ("--listen", f"unix:{tmp_path}/socket")
    with start_server(*flags) as first, cs.connect(first.address) as client:
        before = client.conv(X, W, groups=64)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        with start_server(*flags):  # which finds the sockets' files
            assert lies_in_shared_memory(client.conv(before, W, groups=64))
    np.testing.assert_array_equal(before, X)


def steered_input(command):
    x = np.zeros((1, 1 << 17), np.float32)
    x[0, 0] = command
    return x


def test_a_worker_that_died_is_replaced_and_knows_the_memory(steered):
    with cs.connect(steered.address) as client:
        for _ in range(2):
            np.testing.assert_array_equal(client.run(ReLU(), steered_input(1)), steered_input(1))
            with pytest.raises(cs.WorkerDiedError):
                client.run(ReLU(), steered_input(DIE))
        y = client.run(ReLU(), steered_input(2))
        assert lies_in_shared_memory(y)
        np.testing.assert_array_equal(y, steered_input(2))


def test_a_lease_that_ends_while_a_job_uses_it_is_kept_until_the_end(steered, fifo):
    x = steered_input(WAIT)
    size = x.nbytes
    with (
        grpc.insecure_channel(steered.address) as channel,
        ThreadPoolExecutor(1) as pool,
        Lessee(channel, 128 * MIB) as lessee,
        lessee.map() as memory,
    ):
        memory[:size] = x.tobytes()
        where = shared(lessee.answer.lease_id, (0, 0), offset=size, room=size)
        slow = pool.submit(call, channel, "RunInline", request(x, where))
        with fifo.open("wb"):  # opens once the call runs
            lessee.leave()
            with pytest.raises(cs.OverloadedError), Lessee(channel, 128 * MIB):
                pass
        slow.result()
        np.testing.assert_array_equal(np.frombuffer(memory[size : 2 * size], "f4"), x[0])
        with Lessee(channel, 128 * MIB) as next_one:
            next_one.leave()


def test_after_a_call_that_was_given_up_the_memory_is_another(steered, fifo):
    with cs.connect(steered.address) as client:
        before = client.run(ReLU(), steered_input(1))
        with pytest.raises(cs.DeadlineExceededError):
            client.run(ReLU(), steered_input(WAIT), timeout=0.5)
        after = client.run(ReLU(), steered_input(2))
        np.testing.assert_array_equal(before, steered_input(1))
        np.testing.assert_array_equal(after, steered_input(2))
        assert lies_in_shared_memory(after)


def test_a_task_that_is_cancelled_costs_its_lease_and_nothing_else(steered, fifo):
    async def check():
        async with await cs.connect_async(steered.address) as client:
            before = await client.run(ReLU(), steered_input(1))
            slow = asyncio.create_task(client.run(ReLU(), steered_input(WAIT)))
            gate = await asyncio.to_thread(fifo.open, "wb")  # opens once the call runs
            slow.cancel()
            with pytest.raises(asyncio.CancelledError):
                await slow
            gate.close()
            after = await client.run(ReLU(), steered_input(2))
            np.testing.assert_array_equal(before, steered_input(1))
            np.testing.assert_array_equal(after, steered_input(2))
            assert lies_in_shared_memory(after)

    asyncio.run(check())


FORKED = """
import gc, os, sys
import numpy as np
import convserve_client as cs
x, w = np.arange(1 << 18, dtype=np.float32).reshape(1, 64, 64, 64), np.ones((64, 1, 1, 1), "f4")
client = cs.connect(sys.argv[1])
y, z = client.conv(x, w, groups=64), client.conv(x, 2 * w, groups=64)
child = os.fork()
if not child:
    del y
    gc.collect()
    client.close()
    os._exit(int(not (z == 2 * x).all()))
assert os.waitpid(child, 0)[1] == 0
again = client.conv(y, w, groups=64)
assert (y == x).all() and (z == 2 * x).all() and (again == x).all()
client.close()
"""


def test_a_fork_takes_nothing_from_its_parent(local):
    command = [sys.executable, "-c", FORKED, local.address]
    subprocess.run(command, check=True, timeout=120)


def test_memory_that_cannot_be_fetched_is_given_back_and_the_tensors_are_sent(tmp_path):
    flags = ("--listen", f"unix:{tmp_path}/socket", "--lease-bytes=64MiB")
    with start_server(*flags) as server:
        Path(tmp_path, "socket.lease").unlink()
        for kind in KINDS:
            with connected(kind, server.address) as client:
                y = client.conv(X, W, groups=64)
                np.testing.assert_array_equal(y, X)
                assert not lies_in_shared_memory(y)
        with grpc.insecure_channel(server.address) as channel:
            take_everything(channel)


def test_a_client_that_is_not_closed_holds_up_no_exit(local):
    script = FORKED.partition("child =")[0] + "assert (y == x).all()"
    subprocess.run([sys.executable, "-c", script, local.address], check=True, timeout=60)
