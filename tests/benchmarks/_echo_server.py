"""A bare grpc.aio server, the peer that transport is measured against.

`Echo` sends back what it gets; `Answer` sends as many zeros as the first four bytes say. Prints its
port, and ends when its standard input does.
"""

import asyncio
import sys
from typing import Any

import grpc


async def _echo(request: bytes, context: object) -> bytes:
    return request


async def _answer(request: bytes, context: object) -> bytes:
    return bytes(int.from_bytes(request[:4], "little"))


async def _serve() -> None:
    server = grpc.aio.server(
        options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
    )
    methods: dict[str, Any] = {
        "Echo": grpc.unary_unary_rpc_method_handler(_echo),
        "Answer": grpc.unary_unary_rpc_method_handler(_answer),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", methods),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(_serve())
