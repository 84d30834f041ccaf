"""Run and RunInline: decode, reserve memory, have the workers compute, and send what came out."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from convserve.errors import ByteCountError, InlineTooLargeError, InvalidArgumentError
from convserve.inline import InlineRequest, inline_response
from convserve.tensors import spec_to_message
from convserve.v1 import compute_service_pb2 as pb2

from convserve_server.scheduling.gate import Gate
from convserve_server.services.calls import Call
from convserve_server.services.digests import NamedTensor, verify
from convserve_server.services.execution import Execution
from convserve_server.services.headers import parse_part
from convserve_server.services.leases import LeaseStore
from convserve_server.services.models import Model, ModelStore
from convserve_server.services.placing import (
    NOTHING_SHARED,
    Placed,
    fill,
    place_request,
    pool_bytes,
)
from convserve_server.services.requests import Request, RequestReader
from convserve_server.services.shared import SharedTensors, read_shared
from convserve_server.services.streams import Arrival, Departure, read_header
from convserve_server.services.targets import Target
from convserve_server.services.tensors import TensorStore
from convserve_server.workers.arena import Region
from convserve_server.workers.jobs import JobResult
from convserve_server.workers.segments import Segment


class RunService:
    """The rpcs that compute."""

    def __init__(
        self,
        *,
        max_inline_bytes: int,
        reader: RequestReader,
        gate: Gate,
        models: ModelStore,
        tensors: TensorStore,
        leases: LeaseStore,
    ) -> None:
        self._max_inline_bytes = max_inline_bytes
        self._reader = reader
        self._gate = gate
        self._models = models
        self._tensors = tensors
        self._leases = leases

    async def run(self, _: Call, call: Call) -> None:
        """Header, `accepted`, chunks in, compute, chunks out, `summary`."""
        message = await read_header(call)
        header = message.SerializeToString(deterministic=True)
        found = self._reader.recall(header) or message
        with self._model_of(found) as model, self._reader.relying_on(header):
            request = await self._reader.read_run(header, found, model)
            call.end_stage("decode")
            target = request.choice.pick()
            target.pool.check_open(request.options.priority)
            with (
                self._stored(request) as there,
                await self._reserve(pool_bytes(request, there), call) as region,
            ):
                placed = place_request(request, model, region, there)
                outputs = [spec_to_message(spec) for spec in request.outputs]
                await call.write(pb2.RunResponse(accepted=pb2.RunAccepted(outputs=outputs)))
                result = await self._stream(placed, there.tensors, Execution(target, call))
        summary = pb2.CallRecord.FromString(_summary(request, target, result, call))
        await call.write(pb2.RunResponse(summary=summary))

    async def run_inline(self, message: InlineRequest, call: Call) -> bytes:
        """`run` in one message each way. Returns a serialised RunInlineResponse."""
        found = self._reader.find(message.header)
        with (
            self._model_of(found) as model,
            self._leased(message.shared) as leased,
            self._reader.relying_on(message.header),
        ):
            request = await self._reader.read_run(message.header, found, model)
            shared = NOTHING_SHARED if leased is None else _shared(request, *leased)
            self._check_inline(request, shared, message.data)
            call.end_stage("decode")
            target = request.choice.pick()
            target.pool.check_open(request.options.priority)
            with (
                self._stored(request, shared) as there,
                await self._reserve(pool_bytes(request, there), call) as region,
            ):
                placed = place_request(request, model, region, there)
                fill(placed.tensors, there, message.data)
                call.end_stage("transfer")
                await self._learn(placed)
                result = await Execution(target, call).run_all(placed.jobs(call))
                response = inline_response(
                    request.output_specs,
                    [] if shared.outputs else [place.view() for place in placed.outputs],
                    _summary(request, target, result, call),
                    [place.offset for place in shared.outputs],
                )
                call.end_stage("encode")
                return response

    @contextmanager
    def _model_of(self, found: Request | pb2.RunHeader) -> Iterator[Model | None]:
        """The model that a header names, kept until the block ends; None if it names none."""
        if not found.model_id:
            yield None
            return
        with self._models.use(found.model_id) as model:
            yield model

    @contextmanager
    def _leased(self, shared: bytes) -> Iterator[tuple[pb2.Shared, Segment] | None]:
        """A serialised Shared and the memory that it names, kept until the block ends."""
        if not shared:
            yield None
            return
        message = parse_part(pb2.Shared, shared, "shared")
        with self._leases.use(message.lease_id) as segment:
            yield message, segment

    @contextmanager
    def _stored(
        self, request: Request, shared: SharedTensors = NOTHING_SHARED
    ) -> Iterator[SharedTensors]:
        """`shared` and the stored tensors that a request names, kept until the block ends."""
        if not request.named:
            yield shared
            return
        for named in request.named:
            _check_unshared(named, shared)
        with self._tensors.use(request.named) as stored:
            yield SharedTensors(shared.tensors | stored.placements, shared.outputs)

    async def _learn(self, placed: Placed) -> None:
        """Check the tensors that came with their digests, and keep them for calls to come."""
        named = placed.request.named
        if named:
            placements = dict(enumerate(placed.tensors))
            await verify(named, placements)
            await self._tensors.keep(named, placements)

    async def _reserve(self, byte_count: int, call: Call) -> Region:
        region = await self._gate.reserve(byte_count)
        call.end_stage("queue")
        return region

    async def _stream(
        self, placed: Placed, there: Container[int], execution: Execution
    ) -> JobResult:
        """Receive, compute and send at once: a piece as soon as what it reads has come."""
        call = execution.call
        arrival = Arrival(placed.tensors, there)
        departure = Departure(placed.outputs, placed.request.rows)
        try:
            async with asyncio.TaskGroup() as group:
                receiving = group.create_task(self._receive(placed, arrival, call))
                group.create_task(departure.send(call))
                jobs = placed.jobs(call)
                for piece in placed.request.pieces:
                    await execution.until_free()
                    if piece is placed.request.pieces[-1]:
                        await receiving  # bytes beyond the declared ones are an error
                    else:
                        await arrival.until(placed.needed_bytes(piece, there))
                    call.end_stage("transfer")
                    # Only now: weights that have come are part of what calls are joined by.
                    execution.begin(group, next(jobs), partial(departure.add, piece.made_rows))
                result = await execution.last
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        call.end_stage("transfer")
        return result

    async def _receive(self, placed: Placed, arrival: Arrival, call: Call) -> None:
        await arrival.receive(call)
        await self._learn(placed)

    def _check_inline(
        self, request: Request, shared: SharedTensors, data: Sequence[bytes | memoryview]
    ) -> None:
        limit = self._max_inline_bytes
        sizes = {
            "request": sum(map(len, data)),
            "response": 0 if shared.outputs else request.output_bytes,
        }
        for what, size in sizes.items():
            if size > limit:
                raise InlineTooLargeError(
                    f"the tensors of the {what} take {size} bytes, and one message may hold "
                    f"{limit}; use Run, which streams them",
                    metadata={f"{what}_bytes": size, "limit_bytes": limit},
                )
        if len(data) != len(request.tensors):
            raise ByteCountError(
                f"{len(data)} values are given for {len(request.tensors)} declared tensors",
                field="data",
                metadata={"received": len(data), "declared": len(request.tensors)},
            )


def _summary(request: Request, target: Target, result: JobResult, call: Call) -> bytes:
    """The serialised CallRecord. Fields of a message may stand in any order, in two parts."""
    seconds: dict[str, Any] = {f"{stage}_seconds": s for stage, s in call.stages.items()}
    record = pb2.CallRecord(
        request_id=call.request_id,
        device=target.device.name,
        batch_size=result.batch_rows,
        tile_count=len(request.pieces),
        **seconds,
    )
    return record.SerializeToString() + result.steps.message


def _shared(request: Request, message: pb2.Shared, segment: Segment) -> SharedTensors:
    return read_shared(message, request.tensors, request.outputs, segment)


def _check_unshared(named: NamedTensor, shared: SharedTensors) -> None:
    if named.position in shared.tensors:
        raise InvalidArgumentError(
            f"tensor {named.position} has a digest and lies in shared memory; it needs no "
            "digest there",
            field="digests",
            metadata={"value": named.position},
        )
