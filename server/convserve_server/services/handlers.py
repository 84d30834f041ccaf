"""gRPC handlers made from the table of methods. There are no generated servicers."""

from __future__ import annotations

from typing import Any

import grpc
from convserve.services import METHODS, Method, parser, serialize


def handlers_of(servicer: object, service: str) -> grpc.GenericRpcHandler:
    """The handlers of one service, such as `convserve.v1.PlanningService`.

    Each rpc is the servicer's method of the same name in snake case: `RunInline` is `run_inline`.
    A method is a coroutine function of (request, call), or (call,) messages and call, for streams.
    """
    methods = {
        name: _handler(method, getattr(servicer, _snake_case(name)))
        for name, method in METHODS.items()
        if method.service == service
    }
    return grpc.method_handlers_generic_handler(service, methods)


def _handler(method: Method, behaviour: Any) -> grpc.RpcMethodHandler[Any, Any]:
    requests = "stream" if method.client_streaming else "unary"
    responses = "stream" if method.server_streaming else "unary"
    make: Any = getattr(grpc, f"{requests}_{responses}_rpc_method_handler")
    handler: grpc.RpcMethodHandler[Any, Any] = make(behaviour, parser(method.request), serialize)
    return handler


def _snake_case(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).removeprefix("_")
