"""Builds a server from its settings, starts the parts in order, and stops them in reverse.

With `stations.py`, which makes what each device has of its own, this is the only file that builds
them. A later part may use an earlier one, never the reverse.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing

import grpc
from attrs import evolve, frozen
from convserve.chunks import CHUNK_BYTES
from convserve.errors import ConvserveError, DeviceNotFoundError
from convserve.servers import Limits, ServerInfo
from convserve.services import SERVICES
from convserve.tensors import MAX_RANK
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from convserve_server.engines.base import DeviceFacts
from convserve_server.engines.cuda.findings import Findings
from convserve_server.gpus import find_gpus, libraries
from convserve_server.listening import StartError, listen, open_handover, start_metrics
from convserve_server.observability.metrics import Gauges, Metrics
from convserve_server.observability.nvml import open_monitor
from convserve_server.planners.offers import OfferDesk
from convserve_server.planners.pool import PlannerPool
from convserve_server.scheduling.gate import Gate
from convserve_server.scheduling.pools import Pools
from convserve_server.services.bounds import (
    MAX_INLINE_BYTES,
    MAX_INPUTS,
    MAX_LAYERS,
    MAX_MESSAGE_BYTES,
    MAX_REQUEST_BYTES,
    MAX_TENSORS,
)
from convserve_server.services.explaining import ExplainingService
from convserve_server.services.guard import Guard
from convserve_server.services.handlers import handlers_of
from convserve_server.services.handover import Handover
from convserve_server.services.health import SERVING, follow, set_health
from convserve_server.services.importing import ImportService
from convserve_server.services.info import InfoService
from convserve_server.services.leases import LeaseService, LeaseStore
from convserve_server.services.models import ModelStore
from convserve_server.services.planning import PlanningService
from convserve_server.services.requests import RequestReader
from convserve_server.services.residents import ModelService
from convserve_server.services.runs import RunService
from convserve_server.services.startup import load_models
from convserve_server.services.targets import GPUS, Preparation, Targets
from convserve_server.services.tensors import TensorStore
from convserve_server.services.tiles import TilesService
from convserve_server.settings import VERSION, Settings
from convserve_server.stations import Station, make_stations, missing_gpus, start_stations
from convserve_server.workers.arena import WARM_BYTES, Arena

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


@frozen
class Bound:
    """Where a started server listens."""

    addresses: tuple[str, ...]
    metrics: str | None


@frozen
class _Parts:
    """What the services share."""

    arena: Arena
    gate: Gate
    pools: Pools
    tensors: TensorStore
    models: ModelStore
    leases: LeaseStore
    planners: PlannerPool
    kernel_planners: PlannerPool  # for cuDNN alone: plans must not wait for it


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Bound]:
    """A server that serves from the start of the block, and drains at its end.

    Raises StartError if it cannot start.
    """
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        metrics_address = start_metrics(settings.metrics, metrics, stack)
        found = await find_gpus(settings)
        arena = stack.enter_context(closing(_make_arena(settings, found)))
        stations = make_stations(settings, arena, found.gpus)
        parts = _make_parts(settings, arena, Pools({each.name: each.pool for each in stations}))
        metrics.watch(_gauges(parts))
        guard = _make_guard(settings, metrics)
        server = grpc.aio.server(handlers=[guard], options=_options(settings))
        addresses = tuple(
            listen(server.add_insecure_port, address, stack) for address in settings.listen
        )
        handover = await open_handover(settings, stack)
        stack.push_async_callback(server.stop, LAST_BYTES_SECONDS)
        stack.callback(parts.tensors.close)
        # Models close after the workers' end: then they wait for no restart.
        stack.push_async_callback(parts.models.close)
        stack.push_async_callback(parts.pools.stop)
        stack.push_async_callback(parts.planners.stop)
        stack.push_async_callback(parts.kernel_planners.stop)
        await _load_models(settings, parts)
        targets = await _start(settings, parts, stations, found, metrics)
        stack.push_async_callback(targets.close)
        _watch_gpus(metrics, found, stack)
        servicers = _make_servicers(settings, parts, targets, found, handover)
        health_servicer = _add_services(guard, servicers)
        await server.start()
        await set_health(health_servicer, SERVING, ("", *SERVICES))
        stack.callback(asyncio.create_task(follow(targets.pools, health_servicer)).cancel)
        stack.push_async_callback(guard.drain, settings.grace_seconds)
        stack.push_async_callback(health_servicer.enter_graceful_shutdown)
        yield Bound(addresses, metrics_address)


def _options(settings: Settings) -> tuple[tuple[str, int], ...]:
    streams = settings.max_calls + SIDE_STREAMS  # so that the guard can tell who is too many
    return (*_OPTIONS, ("grpc.max_concurrent_streams", streams))


def _make_arena(settings: Settings, found: Findings) -> Arena:
    capacity_bytes = settings.tensor_pool_bytes
    # Pages that a GPU has pinned may not be given back: it would go on with them, and nobody else.
    warm_bytes = sys.maxsize if found.gpus else WARM_BYTES
    try:
        return Arena(capacity_bytes, warm_bytes)
    except OSError as error:
        raise StartError(
            f"a tensor pool of {capacity_bytes} bytes cannot be had: {error.strerror}; give a "
            "smaller one with --tensor-pool-bytes"
        ) from None


def _make_guard(settings: Settings, metrics: Metrics) -> Guard:
    return Guard(
        metrics,
        max_call_seconds=settings.max_call_seconds,
        stall_seconds=settings.stall_seconds,
        max_calls=settings.max_calls,
    )


def _make_parts(settings: Settings, arena: Arena, pools: Pools) -> _Parts:
    gate = Gate(arena, queue_limit=settings.queue_length)
    tensors = TensorStore(gate, arena.capacity_bytes // 2, settings.model_idle_seconds)
    models = ModelStore(pools.forget, tensors, settings.model_idle_seconds)
    leases = LeaseStore(gate.reserve_bytes, settings.max_lease_bytes, pools.detach)
    count, seconds = settings.planner_count, settings.planner_seconds
    planners = PlannerPool(count, seconds, shared=arena.fd)
    kernel_planners = PlannerPool(count, seconds)
    return _Parts(arena, gate, pools, tensors, models, leases, planners, kernel_planners)


def _make_servicers(
    settings: Settings,
    parts: _Parts,
    targets: Targets,
    found: Findings,
    handover: Handover | None,
) -> tuple[tuple[object, ...], ...]:
    """What answers the rpcs of each service, in the order of the services' names."""
    info = server_info(settings, parts.arena, targets, found)
    reader = RequestReader(targets, tensor_pool_bytes=info.limits.tensor_pool_bytes)
    runs = RunService(
        max_inline_bytes=MAX_INLINE_BYTES,
        reader=reader,
        gate=parts.gate,
        models=parts.models,
        tensors=parts.tensors,
        leases=parts.leases,
    )
    residents = ModelService(reader, parts.tensors, parts.models)
    compute = (runs, residents, LeaseService(parts.leases, handover), InfoService(info))
    imports = ImportService(parts.gate, parts.tensors, parts.models, parts.planners)
    offers = OfferDesk(parts.kernel_planners, settings.planner_count)
    planning = PlanningService(targets, parts.planners, offers)
    tiles = TilesService(targets.host(""), parts.planners)
    return compute, (planning, ExplainingService(targets), tiles, imports)


def server_info(settings: Settings, arena: Arena, targets: Targets, found: Findings) -> ServerInfo:
    """What the server tells about itself."""
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
    engines = dict.fromkeys(each.engine for each in targets.devices if each.available)
    return ServerInfo(
        version=VERSION,
        engines=tuple(engines),
        devices=targets.devices,
        limits=limits,
        libraries=tuple(libraries(found.versions)),
    )


def _gauges(parts: _Parts) -> Gauges:
    arena, tensors = parts.arena, parts.tensors
    return Gauges(
        queue_depth=lambda: parts.gate.queue_depth + parts.pools.queue_depth,
        tensor_bytes_in_flight=lambda: max(arena.bytes_in_use - tensors.claimed_bytes, 0),
        tensor_pool_bytes=lambda: arena.capacity_bytes,
        models=lambda: len(parts.models),
        model_bytes=lambda: tensors.claimed_bytes - tensors.unused_bytes,
        unused_tensor_bytes=lambda: tensors.unused_bytes,
        lease_bytes=lambda: parts.leases.claimed_bytes,
        worker_restarts=lambda: parts.pools.restarts,
        planner_restarts=lambda: parts.planners.restarts + parts.kernel_planners.restarts,
    )


def _watch_gpus(metrics: Metrics, found: Findings, stack: AsyncExitStack) -> None:
    monitor = open_monitor({f"{GPUS}:{gpu.number}": gpu.bus for gpu in found.gpus if gpu.bus})
    if monitor is not None:
        stack.callback(monitor.close)
        metrics.watch_gpus(monitor)


async def _load_models(settings: Settings, parts: _Parts) -> None:
    folders = [(model.name, model.path) for model in settings.model]
    try:
        await load_models(folders, parts.models, parts.tensors)
    except ConvserveError as error:
        raise StartError(str(error)) from None


async def _start(
    settings: Settings,
    parts: _Parts,
    stations: Sequence[Station],
    found: Findings,
    metrics: Metrics,
) -> Targets:
    """Start the workers of all devices. Raises StartError."""
    made: dict[DeviceFacts, Preparation] = {}  # GPUs alike have one: each builds for all

    def preparation_for(facts: DeviceFacts) -> Preparation:
        # Only here: it takes a tenth of a second, which a server without a GPU can spare.
        from convserve_server.services.building import prepare_gpus

        kind = evolve(facts, properties="")  # which have the GPU's place on the bus, too
        if kind not in made:
            made[kind] = prepare_gpus(
                facts,
                pool=parts.kernel_planners,
                folder=settings.plan_folder,
                at_once=settings.planner_count,
                listener=metrics.count_build,
            )
        return made[kind]

    started, failed = await start_stations(settings, parts.arena, stations, preparation_for)
    missing = (*failed, *missing_gpus(settings, found))
    try:
        return Targets(started, settings.device, missing)
    except DeviceNotFoundError as error:
        raise StartError(f"--device: {error}") from None


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
