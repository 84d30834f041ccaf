"""What is in the way of a server's socket, and what is left of it."""

import asyncio
import os
import socket
from contextlib import AsyncExitStack

import pytest
from convserve_server.addresses import Address
from convserve_server.listening import StartError, listen


def bind(text):
    """Bind a socket as gRPC does, and leave its file as a server does that is killed."""
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(text.removeprefix("unix:"))
    return 1


def listen_at(path, bind=bind):
    """Listen, and stop: whether the file was there meanwhile."""

    async def scenario():
        async with AsyncExitStack() as stack:
            assert listen(bind, Address(path=str(path)), stack) == f"unix:{path}"
            return path.is_socket()

    return asyncio.run(scenario())


def test_a_socket_is_there_while_it_is_listened_on(tmp_path):
    path = tmp_path / "socket"
    assert listen_at(path)
    assert not path.exists()


def test_a_stale_socket_is_replaced(tmp_path):
    path = tmp_path / "socket"
    bind(str(path))
    assert listen_at(path)


def test_a_socket_that_somebody_listens_on_stays(tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(StartError, match="another server does"):
            listen_at(path)
    assert path.is_socket()


def test_a_file_stays(tmp_path):
    path = tmp_path / "file"
    path.write_text("kept")
    with pytest.raises(StartError, match="the file is not a socket"):
        listen_at(path)
    assert path.read_text() == "kept"


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_a_socket_needs_a_directory(tmp_path, folder):
    (tmp_path / "file").touch(0o777)
    with pytest.raises(StartError, match=f"{folder} is no directory .*; make it first"):
        listen_at(tmp_path / folder / "socket")


def test_a_directory_that_is_closed_to_us_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(StartError, match="no directory that can be written to"):
        listen_at(tmp_path / "socket")


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    with pytest.raises(StartError, match="name too long; choose another"):
        listen_at(tmp_path / ("x" * 300))


def test_an_address_in_use_is_refused(tmp_path):
    def refuse(text):
        raise RuntimeError("gRPC says why in its own log")

    with pytest.raises(StartError, match="it is in use"):
        listen_at(tmp_path / "socket", refuse)
