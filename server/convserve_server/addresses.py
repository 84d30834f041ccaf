"""Where a server listens: a host and a port, or a Unix socket."""

from __future__ import annotations

import ipaddress
import os

from attrs import frozen

MAX_PORT = 65535
MAX_SOCKET_PATH_BYTES = 107  # sun_path of sockaddr_un is 108 bytes with its closing zero


@frozen
class Address:
    """Where a server listens: a TCP `host` and `port`, or the `path` of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False  # another host name: it may be anything


def fits_socket(path: str) -> bool:
    """Whether the path of a Unix socket can be as long as this."""
    return len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES


def parse_address(text: str) -> Address:
    """`host:port`, `[v6]:port` or `unix:/path`. Raises ValueError."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or not fits_socket(path):
            raise ValueError(
                f"{text!r} is not unix:/path, absolute and of at most {MAX_SOCKET_PATH_BYTES} "
                "bytes (Linux's limit)"
            )
        return Address(path=path)
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > MAX_PORT:
        raise ValueError(f"{text!r} is not host:port (port 0 to {MAX_PORT}) or unix:/path")
    return Address(host, int(port))


def parse_addresses(text: str) -> tuple[Address, ...]:
    """Addresses with commas between them. Raises ValueError."""
    return tuple(parse_address(part.strip()) for part in text.split(","))


def parse_metrics(text: str) -> Address | None:
    """`host:port`, or `off`. Raises ValueError."""
    if text == "off":
        return None
    address = parse_address(text)
    if address.path:
        raise ValueError(f"{text!r} is a Unix socket; metrics need host:port, or off")
    return address
