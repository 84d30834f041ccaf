"""Where a server is and how to reach it: checked values."""

from __future__ import annotations

import math
import os
from pathlib import Path

from attrs import field, frozen
from convserve.errors import InvalidArgumentError

MAX_SOCKET_PATH_BYTES = 107  # sun_path of sockaddr_un is 108 bytes with its closing zero


@frozen
class TLS:
    """Certificates of a connection, as paths of PEM files.

    `ca` checks the server (None: the system's roots). `certificate` and `key` prove who the caller
    is (mutual TLS); give both or neither.
    """

    ca: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise InvalidArgumentError(
                "mutual TLS needs both a certificate and its key", field="tls"
            )


TLSLike = TLS | str | os.PathLike[str] | bool | None


def as_tls(value: TLSLike) -> TLS | None:
    """None and False to no TLS, True to the system's roots, a path to that CA."""
    if value is None or value is False:
        return None
    if value is True:
        return TLS()
    return value if isinstance(value, TLS) else TLS(ca=value)


def read_pem(path: str | os.PathLike[str] | None) -> bytes | None:
    """The bytes of a PEM file. Raises InvalidArgumentError when it cannot be read."""
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidArgumentError(f"cannot read {path}: {error.strerror}", field="tls") from error


def check_address(address: str) -> str:
    """The address, if it is `host:port` or `unix:/path`. Raises InvalidArgumentError."""
    if address.startswith("unix:"):
        return _check_socket_path(address)
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise InvalidArgumentError(
            f"{address!r} is not an address; use host:port, with a port from 1 to 65535, "
            "or unix:/path",
            field="address",
            metadata={"value": address},
        )
    return address


def _check_socket_path(address: str) -> str:
    size = len(os.fsencode(address.removeprefix("unix:")))
    if not 0 < size <= MAX_SOCKET_PATH_BYTES:
        raise InvalidArgumentError(
            f"the socket's path has {size} bytes; it must have 1 to {MAX_SOCKET_PATH_BYTES}",
            field="address",
            metadata={"value": size, "limit": MAX_SOCKET_PATH_BYTES},
        )
    return address


def check_token(token: str | None) -> str | None:
    """The token, if a header can carry it. Raises InvalidArgumentError, which does not show it."""
    if token is not None and not (token and token.isascii() and token.isprintable()):
        raise InvalidArgumentError("a token is printable ASCII and not empty", field="token")
    return token


def check_timeout(timeout: float) -> float:
    """The timeout in seconds, if it is finite and positive. Raises InvalidArgumentError."""
    if not math.isfinite(timeout) or timeout <= 0:
        raise InvalidArgumentError(
            f"{timeout!r} is not a number of seconds above 0",
            field="timeout",
            metadata={"value": timeout},
        )
    return timeout


def check_retries(max_retries: int) -> int:
    """The number of retries, if it is not negative. Raises InvalidArgumentError."""
    if max_retries < 0:
        raise InvalidArgumentError(
            f"{max_retries!r} is not an integer of at least 0",
            field="max_retries",
            metadata={"value": max_retries},
        )
    return max_retries
