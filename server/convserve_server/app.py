"""Builds a server from its settings, starts the parts in order, and stops them in reverse.

This is the only file that builds objects. A later part may use an earlier one, never the reverse.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import platform
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path

import grpc
from attrs import frozen
from convserve.chunks import CHUNK_BYTES, keep_buffers
from convserve.errors import ConvserveError, WorkerDiedError
from convserve.plans import Device, Limits, ServerInfo
from convserve.services import SERVICES
from convserve.tensors import MAX_RANK
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from convserve_server.engines import load_advisor
from convserve_server.observability.logs import configure_logs, fields
from convserve_server.observability.metrics import Gauges, Metrics, MetricsServer
from convserve_server.scheduling.dispatch import Dispatcher
from convserve_server.scheduling.gate import Gate
from convserve_server.scheduling.pool import WorkerPool
from convserve_server.services.bounds import (
    MAX_INLINE_BYTES,
    MAX_INPUTS,
    MAX_LAYERS,
    MAX_MESSAGE_BYTES,
    MAX_REQUEST_BYTES,
    MAX_TENSORS,
)
from convserve_server.services.guard import Guard
from convserve_server.services.handlers import handlers_of
from convserve_server.services.handover import Handover, path_beside
from convserve_server.services.health import SERVING, follow, set_health
from convserve_server.services.info import InfoService
from convserve_server.services.leases import LeaseService, LeaseStore
from convserve_server.services.models import ModelStore
from convserve_server.services.planning import PlanningService
from convserve_server.services.requests import RequestReader
from convserve_server.services.residents import ModelService
from convserve_server.services.runs import RunService
from convserve_server.services.startup import load_models
from convserve_server.services.tensors import TensorStore
from convserve_server.settings import VERSION, Address, Settings
from convserve_server.workers.arena import Arena

_LOG = logging.getLogger(__name__)

SIDE_STREAMS = 100  # of one connection, for health and reflection beside as many calls as may be
LAST_BYTES_SECONDS = 5.0  # for responses that are written but not sent yet when the server stops

_OPTIONS = (
    ("grpc.so_reuseport", 0),  # a second server on the port must fail, not share it
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 16 << 10),
    # A client may ping every 10 s; gRPC's own limit is 5 minutes, and ends faster clients.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


class StartError(Exception):
    """The server cannot start; the message says why and what to do."""


@frozen
class Bound:
    """Where a started server listens."""

    addresses: tuple[str, ...]
    metrics: str | None


def serve(settings: Settings) -> int:
    """Run a server until a signal, or until its owner has gone. Returns the exit code."""
    configure_logs(settings.log_level, settings.log_format)
    keep_buffers()
    try:
        asyncio.run(_serve(settings))
    except StartError as error:
        _LOG.error("cannot start: %s", error)
        return 1
    return 0


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        stack.enter_context(_stop_requests(stop, settings.owner_fd))
        start = asyncio.create_task(stack.enter_async_context(running(settings)))
        bound = await _unless(stop, start)
        if bound is not None:
            _announce(bound, settings)
            await stop.wait()
            _LOG.info("stopping", extra=fields(grace_seconds=settings.grace_seconds))
    _LOG.info("stopped")


async def _unless(stop: asyncio.Event, task: asyncio.Task[Bound]) -> Bound | None:
    """The task's result; None if `stop` came before, which ends it."""
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
    return None if task.cancelled() else task.result()


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Bound]:
    """A server that serves from the start of the block, and drains at its end."""
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        metrics_address = _start_metrics(settings.metrics, metrics, stack)
        arena = stack.enter_context(closing(_make_arena(settings.tensor_pool_bytes)))
        gate = Gate(arena, queue_limit=settings.queue_length)
        pool = _make_pool(settings, arena)
        tensors = TensorStore(gate, arena.capacity_bytes // 2, settings.model_idle_seconds)
        models = ModelStore(pool, tensors, settings.model_idle_seconds)
        leases = LeaseStore(gate.reserve_bytes, settings.max_lease_bytes, pool.detach)
        metrics.watch(_gauges(gate, pool, models, tensors, leases, arena))
        guard = Guard(
            metrics,
            max_call_seconds=settings.max_call_seconds,
            stall_seconds=settings.stall_seconds,
            max_calls=settings.max_calls,
        )
        server = grpc.aio.server(handlers=[guard], options=_options(settings))
        info = server_info(settings, arena)
        advisor = load_advisor(settings.engine, settings.threads_per_worker)
        reader = RequestReader(info.devices, advisor, settings.worker_memory_bytes)
        runs = RunService(
            device=info.devices[0].name,
            max_inline_bytes=MAX_INLINE_BYTES,
            reader=reader,
            gate=gate,
            pool=pool,
            models=models,
            tensors=tensors,
            leases=leases,
        )
        residents = ModelService(reader, tensors, models)
        handover = await _open_handover(settings, stack)
        compute = (runs, residents, LeaseService(leases, handover), InfoService(info))
        planning = (PlanningService(advisor, reader, info.devices),)
        health_servicer = _add_services(guard, (compute, planning))
        addresses = tuple(_listen(server, address, stack) for address in settings.listen)
        stack.push_async_callback(server.stop, LAST_BYTES_SECONDS)
        stack.callback(tensors.close)
        stack.push_async_callback(models.close)  # after the workers' end: it waits for no restart
        stack.push_async_callback(pool.stop)
        await _load_models(settings, models, tensors)
        await _start(pool)
        await server.start()
        await set_health(health_servicer, SERVING, ("", *SERVICES))
        stack.callback(asyncio.create_task(follow(pool, health_servicer)).cancel)
        stack.push_async_callback(guard.drain, settings.grace_seconds)
        stack.push_async_callback(health_servicer.enter_graceful_shutdown)
        yield Bound(addresses, metrics_address)


def _options(settings: Settings) -> tuple[tuple[str, int], ...]:
    streams = settings.max_calls + SIDE_STREAMS  # so that the guard can tell who is too many
    return (*_OPTIONS, ("grpc.max_concurrent_streams", streams))


def _make_arena(capacity_bytes: int) -> Arena:
    try:
        return Arena(capacity_bytes)
    except OSError as error:
        raise StartError(
            f"a tensor pool of {capacity_bytes} bytes cannot be had: {error.strerror}; give a "
            "smaller one with --tensor-pool-bytes"
        ) from None


def _make_pool(settings: Settings, arena: Arena) -> WorkerPool:
    dispatcher = Dispatcher(
        queue_limit=settings.queue_length,
        working_budget_bytes=settings.worker_memory_bytes,
        batch_rows=settings.batch_rows,
        batch_bytes=settings.batch_bytes,
        batch_wait_seconds=settings.batch_wait_seconds,
    )
    return WorkerPool(
        arena,
        settings.engine,
        dispatcher,
        workers=settings.worker_count,
        threads=settings.threads_per_worker,
        gather_seconds=settings.batch_wait_seconds,
        abandon_seconds=settings.abandon_seconds,
    )


def server_info(settings: Settings, arena: Arena) -> ServerInfo:
    """What the server tells about itself."""
    device = Device(
        name="cpu",
        engine=settings.engine,
        description=_cpu_name(),
        memory_bytes=arena.capacity_bytes,
        thread_count=settings.worker_count * settings.threads_per_worker,
    )
    limits = Limits(
        max_inline_bytes=MAX_INLINE_BYTES,
        max_message_bytes=MAX_MESSAGE_BYTES,
        chunk_bytes=CHUNK_BYTES,
        tensor_pool_bytes=arena.capacity_bytes,
        max_rank=MAX_RANK,
        max_layers=MAX_LAYERS,
        max_call_seconds=settings.max_call_seconds,
        worker_memory_bytes=settings.worker_memory_bytes,
        max_request_bytes=MAX_REQUEST_BYTES,
        max_tensors=MAX_TENSORS,
        max_inputs=MAX_INPUTS,
        max_lease_bytes=settings.max_lease_bytes,
    )
    return ServerInfo(version=VERSION, engines=(settings.engine,), devices=(device,), limits=limits)


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _gauges(
    gate: Gate,
    pool: WorkerPool,
    models: ModelStore,
    tensors: TensorStore,
    leases: LeaseStore,
    arena: Arena,
) -> Gauges:
    return Gauges(
        queue_depth=lambda: gate.queue_depth + pool.queue_depth,
        tensor_bytes_in_flight=lambda: max(arena.bytes_in_use - tensors.claimed_bytes, 0),
        tensor_pool_bytes=lambda: arena.capacity_bytes,
        models=lambda: len(models),
        model_bytes=lambda: tensors.claimed_bytes - tensors.unused_bytes,
        unused_tensor_bytes=lambda: tensors.unused_bytes,
        lease_bytes=lambda: leases.claimed_bytes,
        worker_restarts=lambda: pool.restarts,
    )


def _start_metrics(address: Address | None, metrics: Metrics, stack: AsyncExitStack) -> str | None:
    if address is None:
        return None
    try:
        server = MetricsServer(metrics, address.host, address.port)
    except OSError as error:
        raise StartError(
            f"metrics cannot listen on {address}: {error.strerror}; choose another with "
            "--metrics HOST:PORT, or --metrics off"
        ) from None
    stack.push_async_callback(asyncio.to_thread, server.close)
    return str(Address(address.host, server.port))


async def _open_handover(settings: Settings, stack: AsyncExitStack) -> Handover | None:
    """Where shared memory is handed over: beside the first Unix socket."""
    paths = (path_beside(address.path) for address in settings.listen if address.path)
    path = next((path for path in paths if path is not None), None)
    if path is None or not settings.max_lease_bytes:
        return None
    stack.enter_context(_socket_file(path))
    try:
        return await stack.enter_async_context(Handover(path))
    except OSError as error:
        raise StartError(
            f"memory cannot be shared on unix:{path}: {error.strerror}; choose another socket with "
            "--listen, or share none with --lease-bytes 0"
        ) from None


async def _load_models(settings: Settings, models: ModelStore, tensors: TensorStore) -> None:
    folders = [(model.name, model.path) for model in settings.model]
    try:
        await load_models(folders, models, tensors)
    except ConvserveError as error:
        raise StartError(str(error)) from None


async def _start(pool: WorkerPool) -> None:
    try:
        await pool.start()
    except WorkerDiedError as error:
        raise StartError(str(error)) from None


def _add_services(
    guard: Guard, servicers: tuple[tuple[object, ...], ...]
) -> health.aio.HealthServicer:
    """Add convserve's services, in the order of their names, health and reflection."""
    for service, parts in zip(SERVICES, servicers, strict=True):
        guard.add_generic_rpc_handlers([handlers_of(service, *parts)])
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, guard)
    names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
    servicer = reflection.aio.ReflectionServicer(names)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, guard)
    return health_servicer


def _listen(server: grpc.aio.Server, address: Address, stack: AsyncExitStack) -> str:
    """Bind an address; returns it with the port that was chosen. Raises StartError."""
    if not address.is_local:
        _LOG.warning(
            "anyone who reaches this address can use the server: there is no TLS and no token yet",
            extra=fields(address=str(address)),
        )
    if address.path:
        stack.enter_context(_socket_file(Path(address.path)))
    try:
        port = server.add_insecure_port(str(address))
    except RuntimeError:
        raise StartError(
            f"cannot listen on {address}: it is in use, or not an address of this machine; choose "
            "another with --listen ADDRESS"
        ) from None
    return str(address) if address.path else str(Address(address.host, port))


@contextmanager
def _socket_file(path: Path) -> Iterator[None]:
    """Remove a stale socket file before, and the server's own after."""
    if path.is_socket():
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                raise StartError(f"cannot listen on unix:{path}: another server does")
        path.unlink()
    elif path.exists():
        raise StartError(f"cannot listen on unix:{path}: the file is not a socket")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _stop_requests(stop: asyncio.Event, owner_fd: int | None) -> Iterator[None]:
    """Set `stop` on SIGTERM, on SIGINT, and when the owner's descriptor reaches its end."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def read_owner(fd: int) -> None:
        if not os.read(fd, 4096):
            loop.remove_reader(fd)
            stop.set()

    if owner_fd is not None:
        loop.add_reader(owner_fd, read_owner, owner_fd)
    try:
        yield
    finally:
        if owner_fd is not None:
            loop.remove_reader(owner_fd)


def _announce(bound: Bound, settings: Settings) -> None:
    """Tell the log, and whoever started the server, that it serves, and where."""
    _LOG.info(
        "serving",
        extra=fields(
            version=VERSION,
            addresses=bound.addresses,
            metrics=bound.metrics,
            engine=settings.engine,
            tensor_pool_bytes=settings.tensor_pool_bytes,
        ),
    )
    if settings.ready_fd is None:
        return
    line = json.dumps({"addresses": bound.addresses, "metrics": bound.metrics})
    with os.fdopen(settings.ready_fd, "w") as file:
        file.write(line + "\n")
