"""The guard on a real server in this process, with handlers that go wrong in every way."""

import asyncio
import json
from types import SimpleNamespace

import grpc
import pytest
from convserve import errors
from convserve_server.observability.logs import JsonFormatter
from convserve_server.observability.metrics import Metrics
from convserve_server.services.guard import Guard
from google.rpc import status_pb2

from tests.wire import error_of

PLAN = "/convserve.v1.PlanningService/Plan"  # one of ours: it holds up a drain


class Faults:
    """Handlers by what they do; `started` and `go_on` steer the one that waits."""

    def __init__(self):
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()

    async def echo(self, request, call):
        return request

    async def wait(self, request, call):
        self.started.set()
        await self.go_on.wait()
        return request

    async def leak(self, request, call):
        raise RuntimeError("secret=/srv/key")

    async def cancel_itself(self, request, call):
        raise asyncio.CancelledError

    async def refuse(self, request, call):
        raise errors.ShapeError("7 is not 8", field="shape", metadata={"value": 7})

    async def time_out(self, request, call):
        raise TimeoutError("some other time limit")

    async def overflow(self, request, call):
        return bytes((8 << 20) + 1)

    async def abort(self, request, call):
        await call.abort(grpc.StatusCode.NOT_FOUND, "gone")


class Running:
    """A guarded server, its faults, and a channel to it."""

    def __init__(self, **limits):
        self.metrics = Metrics()
        self.faults = Faults()
        limits = {"max_call_seconds": 60.0, "stall_seconds": 60.0, "max_calls": 10, **limits}
        self.guard = Guard(self.metrics, **limits)
        self.server = grpc.aio.server(handlers=[self.guard])
        names = [name for name in vars(Faults) if not name.startswith("_")]
        handlers = {n: self.handler(getattr(self.faults, n)) for n in names}
        ours = {"Plan": self.handler(self.faults.wait)}
        self.guard.add_generic_rpc_handlers([
            grpc.method_handlers_generic_handler("test", handlers),
            grpc.method_handlers_generic_handler("convserve.v1.PlanningService", ours),
        ])  # fmt: skip

    @staticmethod
    def handler(behaviour):
        return grpc.unary_unary_rpc_method_handler(behaviour, bytes, bytes)

    async def __aenter__(self):
        port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        return self

    async def __aexit__(self, *_):
        await self.channel.close()
        await self.server.stop(None)

    def call(self, path, seconds=30, data=b"data"):
        path = path if path.startswith("/") else f"/test/{path}"
        return self.channel.unary_unary(path)(data, timeout=seconds)

    async def refused(self, path, seconds=30, data=b"data"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(path, seconds, data)
        return error_of(caught.value)

    def count(self, rpc, code):
        return self.metrics.registry.get_sample_value(
            "convserve_calls_total", {"rpc": rpc, "code": code}
        )


def run(scenario, **options):
    async def whole():
        async with Running(**options) as running:
            await scenario(running)

    asyncio.run(whole())


def test_a_good_call_passes():
    async def scenario(running):
        assert await running.call("echo") == b"data"
        assert running.count("echo", "OK") == 1

    run(scenario)


@pytest.mark.parametrize("name", ["leak", "cancel_itself", "time_out"])
def test_a_fault_is_internal_and_says_nothing(name, caplog):
    async def scenario(running):
        error = await running.refused(name)
        assert type(error) is errors.InternalError
        assert "secret" not in str(error)
        assert "other" not in str(error)
        assert running.count(name, "INTERNAL") == 1
        (record,) = [r for r in caplog.records if r.getMessage() == "fault"]
        event = json.loads(JsonFormatter().format(record))
        assert event["request_id"] == error.metadata["error_id"]
        assert "Traceback" in event["traceback"]

    run(scenario)


def test_our_errors_pass_with_their_details():
    async def scenario(running):
        error = await running.refused("refuse")
        assert type(error) is errors.ShapeError
        assert (error.field, error.metadata) == ("shape", {"value": "7"})

    run(scenario)


def test_abort_is_an_error_like_others():
    async def scenario(running):
        error = await running.refused("abort")
        assert type(error) is errors.NotFoundError
        assert error.message == "gone"

    run(scenario)


def test_the_servers_deadline_ends_a_call_that_has_none():
    async def scenario(running):
        error = await running.refused("wait", seconds=None)
        assert type(error) is errors.DeadlineExceededError
        assert "the server's limit of 0.05 s" in error.message

    run(scenario, max_call_seconds=0.05)


def test_the_callers_own_deadline_is_not_the_servers_limit():
    class Context:
        """A caller with a deadline, who hears of its passing."""

        def peer(self):
            return "test"

        def time_remaining(self):
            return 0.01

        async def abort(self, code, details, trailers):
            self.status = status_pb2.Status.FromString(dict(trailers)["grpc-status-details-bin"])

    async def scenario(running):
        handler = running.guard.service(SimpleNamespace(method="/test/wait"))
        context = Context()
        await handler.unary_unary(b"data", context)
        error = errors.from_status(context.status)
        assert type(error) is errors.DeadlineExceededError
        assert "its caller's own deadline of 0.01 s" in error.message

    run(scenario)


def test_more_calls_than_may_are_refused_and_side_calls_are_not():
    async def scenario(running):
        calls = []
        for _ in range(2):
            running.faults.started.clear()
            calls.append(running.call(PLAN))
            await running.faults.started.wait()
        error = await running.refused(PLAN)
        assert type(error) is errors.OverloadedError
        assert "2 calls are in progress" in error.message
        assert error.retry_delay
        assert await running.call("echo") == b"data"
        running.faults.go_on.set()
        assert await asyncio.gather(*calls) == [b"data", b"data"]
        assert await running.call(PLAN) == b"data"

    run(scenario, max_calls=2)


def test_a_message_too_large_either_way_is_refused_with_both_numbers():
    async def scenario(running):
        error = await running.refused("echo", data=bytes((2 << 20) + 1))
        assert type(error) is errors.TooLargeError
        assert error.metadata == {"value": str((2 << 20) + 1), "limit": str(2 << 20)}
        error = await running.refused("overflow")
        assert type(error) is errors.TooLargeError
        assert error.metadata == {"value": str((8 << 20) + 1), "limit": str(8 << 20)}

    run(scenario)


def test_a_caller_that_gives_up_is_counted_so():
    async def scenario(running):
        call = running.call("wait")
        await running.faults.started.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        for _ in range(1000):
            if running.count("wait", "CANCELLED"):
                return
            await running.call("echo")  # a round trip, in which the server sees the cancellation
        pytest.fail("the call was not ended")

    run(scenario)


def test_a_drain_waits_for_calls_and_refuses_new_ones():
    async def scenario(running):
        call = running.call(PLAN)
        await running.faults.started.wait()
        drain = asyncio.create_task(running.guard.drain(30))
        await asyncio.wait([drain], timeout=0)
        error = await running.refused(PLAN)
        assert type(error) is errors.DrainingError
        assert await running.call("echo") == b"data"  # health and reflection still answer
        assert not drain.done()
        running.faults.go_on.set()
        assert await call == b"data"
        await drain

    run(scenario)


def test_a_drain_ends_what_its_grace_does_not_cover():
    async def scenario(running):
        call = running.call(PLAN)
        await running.faults.started.wait()
        await running.guard.drain(0)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        error = error_of(caught.value)
        assert type(error) is errors.DrainingError
        assert "0 s" in error.message

    run(scenario)


def test_a_drain_ends_side_calls_at_once():
    async def scenario(running):
        call = running.call("wait")
        await running.faults.started.wait()
        await running.guard.drain(30)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert type(error_of(caught.value)) is errors.DrainingError

    run(scenario)
