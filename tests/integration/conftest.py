import grpc
import pytest

from tests.server import start_server


@pytest.fixture(scope="session")
def server():
    """A server that the tests share: none of them may stop it."""
    with start_server("--tensor-pool-bytes=256MiB") as running:
        yield running


@pytest.fixture(scope="session")
def channel(server):
    """A raw channel to the shared server."""
    options = [("grpc.max_receive_message_length", 16 << 20)]
    with grpc.insecure_channel(server.address, options=options) as made:
        yield made
