"""The side door: the descriptor for the ticket, once, and nothing for anything else."""

import asyncio
import os
import socket
import stat

import pytest
from convserve_server.services import handover
from convserve_server.services.handover import MAX_VISITS, Handover, path_beside

SECONDS = 60


@pytest.fixture
def at_the_door(tmp_path):
    """Runs a coroutine function of (door, descriptor to give); afterwards no task is left."""

    async def open_door(visit, fd):
        async with Handover(tmp_path / "door") as door:
            await asyncio.wait_for(visit(door, fd), SECONDS)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    (tmp_path / "memory").write_text("tensors")
    with open(tmp_path / "memory", "rb") as file:
        yield lambda visit: asyncio.run(open_door(visit, file.fileno()))


async def connect(door):
    connection = socket.socket(socket.AF_UNIX)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, str(door.path))
    return connection


async def show(door, data):
    """What a visitor gets for `data`: bytes, and the content of the file that came with them."""
    with await connect(door) as connection:
        await asyncio.get_running_loop().sock_sendall(connection, data)
        connection.shutdown(socket.SHUT_WR)
        return await asyncio.to_thread(answer_of, connection)


def answer_of(connection):
    connection.settimeout(SECONDS)
    data, descriptors, _, _ = socket.recv_fds(connection, 100, 10)
    if not descriptors:
        return data, None
    (descriptor,) = descriptors
    with open(descriptor, "rb") as file:
        return data, os.pread(file.fileno(), 100, 0).decode()


def test_who_shows_the_ticket_gets_the_memory_once(at_the_door, caplog):
    async def visit(door, fd):
        with door.offer(fd) as ticket:
            assert len(ticket) == 16
            assert await show(door, ticket) == (b"\0", "tensors")
            assert await show(door, ticket) == (b"", None)

    at_the_door(visit)
    assert [record.message for record in caplog.records] == ["no descriptor handed over"]


def test_a_ticket_dies_with_its_offer(at_the_door):
    async def visit(door, fd):
        with door.offer(fd) as ticket, door.offer(fd) as other:
            assert ticket != other
        assert await show(door, ticket) == (b"", None)

    at_the_door(visit)


def test_each_ticket_has_its_own_memory(at_the_door, tmp_path):
    (tmp_path / "other").write_text("more")
    with open(tmp_path / "other", "rb") as file:

        async def visit(door, fd):
            with door.offer(fd) as first, door.offer(file.fileno()) as second:
                assert await show(door, second) == (b"\0", "more")
                assert await show(door, first) == (b"\0", "tensors")

        at_the_door(visit)


@pytest.mark.parametrize("data", [b"", b"x", bytes(16), b"x" * 16, b"\xff" * 15])
def test_anything_else_gets_nothing_and_harms_nobody(at_the_door, data):
    async def visit(door, fd):
        with door.offer(fd) as ticket:
            assert await show(door, data) == (b"", None)
            assert await show(door, ticket) == (b"\0", "tensors")

    at_the_door(visit)


def test_a_flood_of_bytes_is_not_read(at_the_door):
    async def visit(door, fd):
        with door.offer(fd) as ticket, await connect(door) as flood:
            flood.send(b"x" * 100_000)
            assert await show(door, ticket) == (b"\0", "tensors")

    at_the_door(visit)


def test_a_ticket_in_pieces_is_taken(at_the_door):
    async def visit(door, fd):
        loop = asyncio.get_running_loop()
        with door.offer(fd) as ticket, await connect(door) as connection:
            for byte in ticket:
                await loop.sock_sendall(connection, bytes((byte,)))
            assert await asyncio.to_thread(answer_of, connection) == (b"\0", "tensors")

    at_the_door(visit)


def test_who_shows_nothing_is_sent_away(at_the_door, monkeypatch, caplog):
    monkeypatch.setattr(handover, "VISIT_SECONDS", 0.0)

    async def visit(door, fd):
        with await connect(door) as silent:
            assert await asyncio.to_thread(answer_of, silent) == (b"", None)

    at_the_door(visit)
    assert "showed no ticket" in caplog.records[0].convserve_fields["why"]


def test_so_many_who_wait_for_nothing_hold_up_nobody_for_long(at_the_door, monkeypatch):
    monkeypatch.setattr(handover, "VISIT_SECONDS", 0.01)

    async def visit(door, fd):
        crowd = [await connect(door) for _ in range(3 * MAX_VISITS)]
        with door.offer(fd) as ticket:
            assert await show(door, ticket) == (b"\0", "tensors")
        for connection in crowd:
            connection.close()

    at_the_door(visit)


def test_no_more_are_served_at_once_than_there_are_places(at_the_door):
    async def visit(door, fd):
        with door.offer(fd) as ticket:
            crowd = [await connect(door) for _ in range(MAX_VISITS)]
            with await connect(door) as late:
                late.send(ticket)
                with pytest.raises(BlockingIOError):
                    late.recv(1)
                crowd.pop().close()
                assert await asyncio.to_thread(answer_of, late) == (b"\0", "tensors")
            for connection in crowd:
                connection.close()

    at_the_door(visit)


def cancel_visits(loop, coroutine, **options):
    """Make a task, and cancel that of a visit before its first step, as a door that closes does."""
    task = asyncio.Task(coroutine, loop=loop, **options)
    if coroutine.__name__ == "_receive":
        task.cancel()
    return task


def test_a_visit_that_never_begins_is_ended(at_the_door):
    async def visit(door, fd):
        asyncio.get_running_loop().set_task_factory(cancel_visits)
        with door.offer(fd), await connect(door) as connection:
            assert await asyncio.to_thread(answer_of, connection) == (b"", None)

    at_the_door(visit)


def test_another_user_gets_nothing_though_it_has_the_ticket(at_the_door, monkeypatch, caplog):
    monkeypatch.setattr(handover.os, "geteuid", lambda: 12345)

    async def visit(door, fd):
        with door.offer(fd) as ticket, await connect(door) as connection:
            connection.send(ticket)
            with pytest.raises(ConnectionResetError):
                await asyncio.to_thread(answer_of, connection)

    at_the_door(visit)
    assert "belongs to user" in caplog.records[0].convserve_fields["why"]


def test_a_visitor_that_leaves_is_no_fault(at_the_door):
    async def visit(door, fd):
        with door.offer(fd) as ticket:
            connection = await connect(door)
            connection.send(ticket)
            connection.close()
            (await connect(door)).close()
            with door.offer(fd) as other:
                assert await show(door, other) == (b"\0", "tensors")

    at_the_door(visit)


def test_only_the_own_user_may_open_the_door(at_the_door):
    async def visit(door, fd):
        assert stat.S_IMODE(door.path.stat().st_mode) == 0o600

    at_the_door(visit)


def test_a_place_that_is_taken_is_an_error(tmp_path):
    (tmp_path / "door").touch()

    async def enter():
        async with Handover(tmp_path / "door"):
            pass

    with pytest.raises(OSError, match="in use"):
        asyncio.run(enter())


def test_the_door_is_beside_the_servers_own_socket_if_there_is_room():
    assert str(path_beside("/run/convserve")) == "/run/convserve.lease"
    assert path_beside("/" + 100 * "x") is not None
    assert path_beside("/" + 101 * "x") is None
    assert path_beside("/" + 51 * "é") is None
