"""What surrounds every rpc, health and reflection included: deadline, errors, counts, log line.

The guard is the only handler that gRPC knows; every other is added to it. It replaces each by one
that takes and gives raw bytes, so that bytes which are not the message become INVALID_ARGUMENT here
instead of UNKNOWN inside gRPC, and so that nothing reaches a caller but a status made from
`convserve.errors`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import grpc
from attrs import frozen
from convserve.errors import (
    CallCancelledError,
    ConvserveError,
    DeadlineExceededError,
    DrainingError,
    InternalError,
    OverloadedError,
    UnsupportedError,
)
from convserve.services import METHODS, arity_of

from convserve_server.observability.logs import fields
from convserve_server.observability.metrics import Metrics
from convserve_server.services.calls import Call, Rpc

_LOG = logging.getLogger(__name__)
_OURS = {method.path: name for name, method in METHODS.items()}
MAX_LOGGED_CHARS = 300
SLOW_SECONDS = 1.0  # from here on a call that went well is an event too
RETRY_SECONDS = 1.0  # what a caller is told to wait when there are too many calls


@frozen
class _Limit:
    """How long a call may take, who says so, and what helps when it took longer."""

    seconds: float | None
    source: str
    remedy: str

    @property
    def error(self) -> DeadlineExceededError:
        return DeadlineExceededError(
            f"the call took longer than {self.source} of {self.seconds:g} s; {self.remedy}",
            metadata={"limit_seconds": self.seconds},
        )


class Guard(grpc.GenericRpcHandler):
    """Serves each rpc within a deadline, and turns whatever happens into a status and a log line.

    `max_call_seconds` ends calls whose caller set no deadline, or a longer one; `stall_seconds`
    those whose caller pauses in a stream. Of convserve's own rpcs `max_calls` go on at once.
    """

    def __init__(
        self, metrics: Metrics, *, max_call_seconds: float, stall_seconds: float, max_calls: int
    ) -> None:
        self._metrics = metrics
        self._max_call_seconds = max_call_seconds
        self._stall_seconds = stall_seconds
        self._max_calls = max_calls
        self._services: list[grpc.GenericRpcHandler] = []
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        self._calls: set[Call] = set()
        self._side_calls: set[Call] = set()  # health, reflection, leases: they hold up no stop
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    def add_generic_rpc_handlers(self, services: Iterable[grpc.GenericRpcHandler]) -> None:
        """Guard the handlers of these services. Named as a server's method, for those who add."""
        self._services.extend(services)

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Nothing: who calls this has added the same handlers by `add_generic_rpc_handlers`."""

    def service(self, details: Any) -> grpc.RpcMethodHandler[Any, Any]:
        """The guarded handler of a method, known or not."""
        guarded = self._handlers.get(details.method)
        if guarded is None:
            found = (service.service(details) for service in self._services)
            handler = next((handler for handler in found if handler is not None), None)
            if handler is None:
                return self._guarded(Rpc("unknown", _unknown_method))
            name = _OURS.get(details.method) or details.method.rpartition("/")[2]
            guarded = self._handlers[details.method] = self._guarded(Rpc(name, handler))
        return guarded

    async def drain(self, grace_seconds: float) -> None:
        """Refuse new calls and wait for those in flight; end what is left after the grace."""
        self._draining = True
        try:
            async with asyncio.timeout(grace_seconds):
                await self._idle.wait()
        except TimeoutError:
            self._stop(
                self._calls, f"the server stops, and its grace of {grace_seconds:g} s is over"
            )
            await self._idle.wait()
        self._stop(self._side_calls, "the server stops")

    def _stop(self, calls: set[Call], message: str) -> None:
        for call in calls:
            call.stop(DrainingError(message))

    def _guarded(self, rpc: Rpc) -> grpc.RpcMethodHandler[Any, Any]:
        async def serve_message(data: bytes, context: Any) -> bytes | None:
            return await self._serve(rpc, data, context)

        async def serve_stream(_: object, context: Any) -> bytes | None:
            return await self._serve(rpc, None, context)

        return _raw_handler(rpc.handler, serve_message, serve_stream)

    async def _serve(self, rpc: Rpc, data: bytes | None, context: Any) -> bytes | None:
        """Run the handler. Returns the bytes of a unary response; raises only what gRPC expects."""
        limit = self._limit(rpc, context)
        deadline = asyncio.timeout(limit.seconds)
        call = Call(rpc, context, deadline, self._stall_seconds)
        error: ConvserveError | None = None
        code = "OK"
        self._enter(call)
        try:
            async with deadline:
                response = await self._answer(call, data)
            call.send_timings()
            return response
        except asyncio.CancelledError as cancelled:
            if _is_cancelled_by_peer():
                code = _peer_code(context)
                raise
            error = _internal_error(call, cancelled)
        except Exception as exception:
            error = _as_error(call, exception, limit if deadline.expired() else None)
        finally:
            call.end()
            self._leave(call)
            self._record(call, error.code_name if error is not None else code, error)
        if not isinstance(error, CallCancelledError):  # who has gone cannot be told
            await call.send_error(error)
        return None

    async def _answer(self, call: Call, data: bytes | None) -> bytes | None:
        if call.rpc.name in METHODS:
            self._check_open()
        handler = call.rpc.handler
        request = call if data is None else call.parse(data)
        result = _behaviour(handler)(request, call)
        if inspect.isasyncgen(result):
            async for message in result:
                await call.write(message)
            return None
        response = await result
        return None if handler.response_streaming else call.serialize(response)

    def _check_open(self) -> None:
        """Raise DrainingError, or OverloadedError if there are too many calls with this one."""
        if self._draining:
            raise DrainingError("the server is stopping; call another one", retry_delay=1.0)
        if len(self._calls) > self._max_calls:
            raise OverloadedError(
                f"{self._max_calls} calls are in progress, as many as may; retry after "
                f"{RETRY_SECONDS:g} s",
                metadata={"limit": self._max_calls},
                retry_delay=RETRY_SECONDS,
            )

    def _limit(self, rpc: Rpc, context: Any) -> _Limit:
        remaining: float | None = context.time_remaining()
        if rpc.is_lasting and remaining is None:
            return _Limit(None, "", "")
        if remaining is None or remaining > self._max_call_seconds:
            return _Limit(self._max_call_seconds, "the server's limit", "make it smaller")
        return _Limit(max(remaining, 0.0), "its caller's own deadline", "give it more time")

    def _enter(self, call: Call) -> None:
        if call.rpc.is_work:
            self._calls.add(call)
            self._idle.clear()
        else:
            self._side_calls.add(call)

    def _leave(self, call: Call) -> None:
        self._side_calls.discard(call)
        self._calls.discard(call)
        if not self._calls:
            self._idle.set()

    def _record(self, call: Call, code: str, error: ConvserveError | None) -> None:
        self._metrics.count_call(
            call.rpc.name,
            code,
            seconds=call.seconds,
            stages=call.stages,
            received_bytes=call.received_bytes,
            sent_bytes=call.sent_bytes,
        )
        for device, steps, rows in call.work:
            self._metrics.count_work(device, steps, rows)
        level = logging.DEBUG if _is_usual(call, code, error) else logging.INFO
        if not _LOG.isEnabledFor(level):
            return
        failure = (
            {"reason": error.reason, "message": str(error)[:MAX_LOGGED_CHARS]} if error else {}
        )
        _LOG.log(
            level,
            "call",
            extra=fields(
                request_id=call.request_id,
                rpc=call.rpc.name,
                code=code,
                **failure,
                seconds=round(call.seconds, 6),
                received_bytes=call.received_bytes,
                sent_bytes=call.sent_bytes,
                peer=call.peer,
            ),
        )


def _is_usual(call: Call, code: str, error: ConvserveError | None) -> bool:
    """Whether a call is no event: it went well and fast, or is one of very many in an overload."""
    return isinstance(error, OverloadedError) or (code == "OK" and call.seconds < SLOW_SECONDS)


def _as_error(call: Call, exception: Exception, passed: _Limit | None) -> ConvserveError:
    """What the caller is told; `passed` is the call's limit if it has."""
    if passed is not None and isinstance(exception, TimeoutError):
        return call.stop_error or passed.error
    if isinstance(exception, ConvserveError):
        return exception
    return _internal_error(call, exception)


def _internal_error(call: Call, exception: BaseException) -> InternalError:
    """What a caller learns of a fault. The fault itself is for the log only."""
    _LOG.error(
        "fault",
        exc_info=exception,
        extra=fields(request_id=call.request_id, rpc=call.rpc.name),
    )
    return InternalError(
        f"a fault of the server; error id {call.request_id} finds it in the server's log",
        metadata={"error_id": call.request_id},
    )


def _is_cancelled_by_peer() -> bool:
    """Whether gRPC cancelled this task. A handler that raises CancelledError by itself must not
    pass: the caller would wait for ever.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _peer_code(context: Any) -> str:
    """Why gRPC cancelled the call: the caller's deadline has passed, or the caller gave up."""
    remaining = context.time_remaining()
    return "DEADLINE_EXCEEDED" if remaining is not None and remaining <= 0 else "CANCELLED"


async def _refuse_unknown(_: object, call: Call) -> None:
    raise UnsupportedError("this server has no such method")


_unknown_method: Any = grpc.stream_stream_rpc_method_handler(_refuse_unknown)


def _behaviour(handler: Any) -> Callable[[Any, Call], Any]:
    behaviour: Callable[[Any, Call], Any] = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )
    return behaviour


def _raw_handler(
    handler: Any, serve_message: Any, serve_stream: Any
) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler of the same arity that takes and gives bytes."""
    arity = arity_of(handler.request_streaming, handler.response_streaming)
    make: Any = getattr(grpc, f"{arity}_rpc_method_handler")
    raw: grpc.RpcMethodHandler[Any, Any] = make(
        serve_stream if handler.request_streaming else serve_message
    )
    return raw
