import asyncio
import os

from convserve_server import serving
from convserve_server.addresses import Address
from convserve_server.settings import Settings


def test_it_is_told_to_stop_while_it_starts():
    owner, ours = os.pipe()
    os.close(ours)  # the owner has gone already
    try:
        never_ready = Settings(
            listen=(Address("127.0.0.1", 0),),
            metrics=None,
            engine="tests.fakes.engines:NeverReady",
            tensor_pool_bytes=1 << 20,
            owner_fd=owner,
        )
        asyncio.run(serving._serve(never_ready))
    finally:
        os.close(owner)
