"""Where a server is and how to reach it: checked values."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import field, frozen
from convserve.errors import InvalidArgumentError

from convserve_client._checks import check_text

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
        for path in (self.ca, self.certificate, self.key):
            if path is not None and not isinstance(path, str | os.PathLike):
                raise InvalidArgumentError(f"{path!r} is not the path of a file", field="tls")
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
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidArgumentError(f"cannot read {path}: {reason}", field="tls") from error


def check_address(address: str) -> str:
    """The address, if it is `host:port` or `unix:/path`. Raises InvalidArgumentError."""
    if check_text(address, "address").startswith("unix:"):
        return _check_socket_path(address)
    host, _, port = address.rpartition(":")
    if (
        not host
        or "/" in host
        or not port.isascii()
        or not port.isdigit()
        or not 0 < int(port) < 65536
    ):
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


def check_token(token: object) -> str | None:
    """The token, if a header can carry it. Raises InvalidArgumentError, which does not show it."""
    if token is None:
        return None
    if not isinstance(token, str) or not (token and token.isascii() and token.isprintable()):
        raise InvalidArgumentError("a token is printable ASCII and not empty", field="token")
    return token
