"""Bytes that are not the message: INVALID_ARGUMENT on every rpc, and the server lives on."""

import grpc
import pytest
from convserve.errors import MalformedRequestError, UnsupportedError
from convserve.services import METHODS
from convserve.v1 import compute_service_pb2 as pb2

from tests.wire import TIMEOUT_SECONDS, arity, call, error_of, identity

# path, client streaming, server streaming
STANDARD = [
    ("/grpc.health.v1.Health/Check", False, False),
    ("/grpc.health.v1.Health/Watch", False, True),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", True, True),
]
RPCS = STANDARD + [(m.path, m.client_streaming, m.server_streaming) for m in METHODS.values()]
GARBAGE = {
    "garbage": b"\xff\xfe\xfd" * 20,
    "truncated": b"\x0a\x7f\x01",
    "nested groups": b"\x1b" * 200 + b"\x1c" * 200,  # field 3, 200 levels deep
    "nested messages and long": b"\x0b" * 100_000,
}


def send(channel, path, client_streaming, server_streaming, data):
    request = iter([data]) if client_streaming else data
    answer = arity(channel, client_streaming, server_streaming)(path, identity, identity)(
        request, timeout=TIMEOUT_SECONDS
    )
    return list(answer) if server_streaming else answer


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc[0].rpartition("/")[2])
def test_garbage_is_malformed(channel, rpc, data):
    with pytest.raises(grpc.RpcError) as caught:
        send(channel, *rpc, data)
    error = error_of(caught.value)
    assert type(error) is MalformedRequestError
    assert str(len(data)) in error.message
    assert error.metadata == {"received_bytes": str(len(data))}
    assert call(channel, "GetServerInfo", pb2.GetServerInfoRequest())[0].version


@pytest.mark.parametrize("path", ["/convserve.v1.ComputeService/Nothing", "/x/y", "/x"])
@pytest.mark.parametrize("client_streaming", [False, True])
def test_an_unknown_method_is_unimplemented(channel, path, client_streaming):
    with pytest.raises(grpc.RpcError) as caught:
        send(channel, path, client_streaming, False, b"")
    assert type(error_of(caught.value)) is UnsupportedError


def test_a_message_above_the_limit_is_refused(channel):
    with pytest.raises(grpc.RpcError) as caught:
        send(channel, METHODS["Plan"].path, False, False, b"\0" * (9 << 20))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert call(channel, "GetServerInfo", pb2.GetServerInfoRequest())[0].version
