"""What the client says when the other side is not what it should be."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import convserve_client as cs
import grpc
import numpy as np
import pytest
from convserve.services import METHODS

from tests.clients import KINDS, connected
from tests.server import start_server

X, W = np.ones((1, 1, 4), np.float32), np.ones((1, 1, 2), np.float32)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_nobody_there(kind: str) -> None:
    with (
        connected(kind, "127.0.0.1:1") as client,
        pytest.raises(cs.UnreachableError, match="is convserve-server running") as caught,
    ):
        client.conv(X, W)
    assert isinstance(caught.value.__cause__, grpc.RpcError)
    assert caught.value.metadata["address"] == "127.0.0.1:1"


def test_no_socket_there(kind: str, tmp_path) -> None:
    with (
        connected(kind, f"unix:{tmp_path}/none") as client,
        pytest.raises(cs.UnreachableError),
    ):
        client.plan(cs.ReLU(), (1, 2))


def test_a_server_that_was_killed(kind: str) -> None:
    with start_server() as server, connected(kind, server.address) as client:
        model = client.load(cs.Conv(1, 2, bias=False), {"conv1.weight": W})
        os.kill(server.pid, signal.SIGKILL)
        assert server.wait() == -signal.SIGKILL
        with pytest.raises(cs.UnreachableError):
            client.conv(X, W)
        with pytest.raises(cs.UnreachableError):
            model(X)
        model.close()


def test_a_client_survives_a_restart_of_the_server(kind: str, tmp_path) -> None:
    flags = ("--listen", f"unix:{tmp_path}/socket")
    with start_server(*flags) as first, connected(kind, first.address) as client:
        model = client.load(cs.Conv(1, 2, bias=False), {"conv1.weight": W})
        expected = model(X)
        first.stop()
        with start_server(*flags):
            np.testing.assert_array_equal(client.conv(X, W), expected)
            np.testing.assert_array_equal(model(X), expected)


class Stub:
    """A server of another kind: each method answers as it is told, without convserve's details."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self.code = code
        self.headers: list[dict[str, Any]] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        self.headers.append(dict(details.invocation_metadata))
        method = METHODS["GetServerInfo"]
        if details.method != method.path:
            return None
        return grpc.unary_unary_rpc_method_handler(
            self.answer, response_serializer=method.response.SerializeToString
        )

    def answer(self, _: bytes, context: grpc.ServicerContext) -> Any:
        context.abort(self.code, "no details")


@contextmanager
def serving(code: grpc.StatusCode) -> Iterator[tuple[str, Stub]]:
    stub = Stub(code)
    server = grpc.server(futures.ThreadPoolExecutor(1), handlers=[stub])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", stub
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("INVALID_ARGUMENT", cs.InvalidArgumentError),
        ("RESOURCE_EXHAUSTED", cs.ResourceExhaustedError),
        ("NOT_FOUND", cs.NotFoundError),
        ("UNAUTHENTICATED", cs.UnauthenticatedError),
        ("UNAVAILABLE", cs.UnreachableError),
        ("DEADLINE_EXCEEDED", cs.DeadlineExceededError),
        ("CANCELLED", cs.CallCancelledError),
        ("INTERNAL", cs.InternalError),
        ("UNKNOWN", cs.ConvserveError),
        ("ABORTED", cs.ConvserveError),
    ],
)
def test_errors_without_details_are_told_by_their_code(kind, code, error) -> None:
    with (
        serving(grpc.StatusCode[code]) as (address, _),
        connected(kind, address, max_retries=0) as client,
        pytest.raises(error) as caught,
    ):
        client.info()
    assert type(caught.value) is error


def test_a_method_that_the_server_does_not_have(kind: str) -> None:
    with (
        serving(grpc.StatusCode.OK) as (address, _),
        connected(kind, address) as client,
        pytest.raises(cs.UnsupportedError),
    ):
        client.models()


def test_the_token_is_sent(kind: str) -> None:
    with (
        serving(grpc.StatusCode.INTERNAL) as (address, stub),
        connected(kind, address, token="s3cret") as client,
        pytest.raises(cs.InternalError),
    ):
        client.info()
    assert stub.headers[0]["authorization"] == "Bearer s3cret"


def test_a_deadline(kind: str) -> None:
    x = np.ones((1, 1, 1 << 20), np.float32)
    with (
        start_server() as server,
        connected(kind, server.address) as client,
        pytest.raises(cs.DeadlineExceededError) as caught,
    ):
        client.convolve(x, x, method="direct", timeout=0.05)
    assert isinstance(caught.value, TimeoutError)
