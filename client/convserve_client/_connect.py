"""How a client is made: from an address, or with a server of its own."""

from __future__ import annotations

from convserve.runs import RunOptions

from convserve_client._checks import check_count, check_integer, check_seconds
from convserve_client._client import AsyncClient, Client
from convserve_client._config import TLSLike, as_tls, check_address, check_token
from convserve_client._endpoint import Endpoint
from convserve_client._local import LocalServer
from convserve_client._retries import Policy

TIMEOUT_SECONDS = 60.0


def connect(
    address: str,
    token: str | None = None,
    tls: TLSLike = None,
    timeout: float = TIMEOUT_SECONDS,
    max_retries: int = 1,
    priority: int = 0,
) -> Client:
    """A client of the server at `address`, which is `host:port` or `unix:/path`.

    `token` is a bearer token. `tls` is True for the system's roots, the path of a CA file, or a
    `TLS`. `timeout` is for each call, in seconds, its retries included. Where calls wait for the
    server, those of higher `priority`, -100 to 100, go first.

    A call is repeated up to `max_retries` times after a lost worker, a lost connection or a damaged
    chunk, and for as long as its timeout lets it where the server is overloaded or draining: then
    after the delay that the server names, and longer each time. Other errors, such as wrong input
    or a call that is too large, are never repeated. 0 repeats nothing.

    The connection is made by the first call, which raises UnreachableError within seconds if nobody
    answers. It belongs to the process: after a fork, a client that was used before raises
    FailedPreconditionError, and one that was not connects anew; a process that was forked while
    calls were in flight cannot use gRPC at all, and says so by the same error. Raises
    InvalidArgumentError for an argument that is wrong.
    """
    endpoint, policy = _endpoint(address, token, tls), _policy(max_retries)
    return Client(endpoint, check_seconds(timeout), policy, priority=_priority(priority))


async def connect_async(
    address: str,
    token: str | None = None,
    tls: TLSLike = None,
    timeout: float = TIMEOUT_SECONDS,  # noqa: ASYNC109  # of later calls
    max_retries: int = 1,
    priority: int = 0,
) -> AsyncClient:
    """An asyncio client of the server at `address`; the arguments are those of `connect`.

    A fork cannot use it, whether it was used before or not: its event loop stays behind.
    """
    endpoint, policy = _endpoint(address, token, tls), _policy(max_retries)
    return AsyncClient(endpoint, check_seconds(timeout), policy, priority=_priority(priority))


def local(
    threads: int | None = None,
    tensor_pool_bytes: int | None = None,
    timeout: float = TIMEOUT_SECONDS,
    max_retries: int = 1,
    priority: int = 0,
) -> Client:
    """A client of a server of its own: a child process on a private Unix socket.

    `threads` compute (None: all processors); `tensor_pool_bytes` bounds the tensors of all calls
    together (None: half of the memory). The rest is as for `connect`. Closing the client ends the
    server; so does the death of this process.

    Raises FailedPreconditionError if convserve-server is not installed or does not start, and
    InvalidArgumentError for an argument that is wrong.
    """
    seconds, policy, rank = check_seconds(timeout), _policy(max_retries), _priority(priority)
    server = LocalServer.start(
        _count(threads, "threads"), _count(tensor_pool_bytes, "tensor_pool_bytes")
    )
    try:
        endpoint = _endpoint(server.address, None, None)
        return Client(endpoint, seconds, policy, server, priority=rank)
    except BaseException:
        server.stop()
        raise


def _endpoint(address: str, token: str | None, tls: TLSLike) -> Endpoint:
    return Endpoint(check_address(address), as_tls(tls), check_token(token))


def _count(value: int | None, field: str) -> int | None:
    return None if value is None else check_count(value, field, 1)


def _priority(value: int) -> int:
    return RunOptions(priority=check_integer(value, "priority")).priority


def _policy(max_retries: int) -> Policy:
    return Policy(check_count(max_retries, "max_retries", 0))
