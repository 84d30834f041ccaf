"""Where a client connects to, and how."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from convserve_client._config import TLS

MAX_RECEIVE_BYTES = 64 << 20  # plans of deep networks with their explanations are the largest
CONNECT_MILLISECONDS = 3000
KEEPALIVE_MILLISECONDS = 30_000  # a server of convserve ends who pings more than every 10 seconds


@frozen
class Endpoint:
    """A server's address, and what to show it."""

    address: str
    tls: TLS | None = None
    token: str | None = None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The headers of every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    @property
    def options(self) -> list[tuple[str, Any]]:
        """The channel's options."""
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
            ("grpc.max_send_message_length", -1),
            # An address that does not answer is given up after this, not after 20 seconds.
            ("grpc.min_reconnect_backoff_ms", CONNECT_MILLISECONDS),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2000),
            # Only while calls are in flight: an idle client costs nothing, and finds a connection
            # that was lost meanwhile in its next call.
            ("grpc.keepalive_time_ms", KEEPALIVE_MILLISECONDS),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 0),
            # Otherwise variables of the environment would send even local calls to a proxy.
            ("grpc.enable_http_proxy", 0),
            # Otherwise all channels to an address share one connection, and a forked child's new
            # channel may be given its parent's, which gRPC has yet to close there.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if self.address.startswith("unix:"):
            options.append(("grpc.default_authority", "localhost"))
        return options
