"""gRPC handlers made from the table of methods. There are no generated servicers."""

from __future__ import annotations

from typing import Any

import grpc
from convserve.services import METHODS, Method, parser, serialize


def handlers_of(service: str, *servicers: object) -> grpc.GenericRpcHandler:
    """The handlers of one service, such as `convserve.v1.PlanningService`.

    Each rpc is a method of the same name in snake case, of one of the servicers: `RunInline` is
    `run_inline`. A method is a coroutine function of (request, call), or (call,) messages and call,
    for streams.
    """
    methods = {
        name: _handler(method, _find(_snake_case(name), servicers))
        for name, method in METHODS.items()
        if method.service == service
    }
    return grpc.method_handlers_generic_handler(service, methods)


def _find(name: str, servicers: tuple[object, ...]) -> Any:
    (behaviour,) = (getattr(each, name) for each in servicers if hasattr(each, name))
    return behaviour


def _handler(method: Method, behaviour: Any) -> grpc.RpcMethodHandler[Any, Any]:
    make: Any = getattr(grpc, f"{method.arity}_rpc_method_handler")
    handler: grpc.RpcMethodHandler[Any, Any] = make(behaviour, parser(method.request), serialize)
    return handler


def _snake_case(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).removeprefix("_")
