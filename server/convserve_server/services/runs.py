"""Run and RunInline: decode, reserve memory, have the workers compute, and send what came out."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from attrs import frozen
from convserve.errors import (
    ByteCountError,
    InlineTooLargeError,
    InvalidArgumentError,
    MalformedRequestError,
)
from convserve.inline import InlineRequest, inline_response
from convserve.tensors import TensorSpec, check_bools, spec_to_message
from convserve.v1 import compute_service_pb2 as pb2
from google.protobuf.message import DecodeError, Message

from convserve_server.scheduling.gate import Gate
from convserve_server.scheduling.pool import WorkerPool
from convserve_server.services.calls import Call
from convserve_server.services.digests import NamedTensor, verify
from convserve_server.services.leases import LeaseStore
from convserve_server.services.models import Model, ModelStore
from convserve_server.services.pieces import EncodedPiece
from convserve_server.services.requests import Request, RequestReader
from convserve_server.services.shared import SharedTensors, read_shared
from convserve_server.services.streams import Arrival, Departure, read_header
from convserve_server.services.tensors import TensorStore
from convserve_server.workers.arena import Placement, Region, aligned_bytes, place
from convserve_server.workers.jobs import Job, JobResult
from convserve_server.workers.segments import Segment

M = TypeVar("M", bound=Message)

NOTHING_SHARED = SharedTensors({}, ())
# Weights that come with a call are compared byte by byte with those of others to join them.
MAX_COMPARED_BYTES = 64 << 10


@frozen(eq=False)
class Run:
    """A request whose memory is reserved: where its tensors come in and its results go."""

    request: Request
    model: Model | None
    tensors: tuple[Placement, ...]
    outputs: tuple[Placement, ...]

    def jobs(self, call: Call) -> Iterator[Job]:
        """What the workers get, piece by piece."""
        request = self.request
        given = (*self.tensors, *(self.model.placements if self.model else ()))
        ordered = tuple(given[position] for position in request.order)
        batch_key = self._batch_key()
        for piece in request.pieces:
            yield Job(
                work=piece.work,
                tensors=ordered,
                outputs=self.outputs,
                taken=piece.taken,
                kept=piece.kept,
                key=request.model_id,
                layout=request.options.layout,
                batch_key=batch_key,
                rows=request.rows,
                byte_count=request.pool_bytes,
                working_bytes=piece.working_bytes,
                priority=request.options.priority,
                deadline=call.deadline,
                request_id=call.request_id,
            )

    def needed_bytes(self, piece: EncodedPiece, there: Container[int]) -> tuple[int, ...]:
        """How much of each tensor must have come for a piece: its rows, and all of the weights."""
        request = self.request
        return tuple(
            0
            if position in there
            else spec.byte_count
            if position in request.weights or not request.rows
            else spec.byte_count * piece.read_rows // request.rows
            for position, spec in enumerate(request.tensors)
        )

    def _batch_key(self) -> Hashable | None:
        """What calls have in common that may be one batch: work, layout, and weights."""
        request = self.request
        if not request.sample_work or len(request.pieces) > 1:
            return None
        weights = [self.tensors[position] for position in request.weights]
        if any(weight.region.segment for weight in weights):
            return None  # their caller may change them after they were compared
        if sum(weight.spec.byte_count for weight in weights) > MAX_COMPARED_BYTES:
            return None
        values = tuple(bytes(weight.view()) for weight in weights)
        return (request.sample_work, request.options.layout, request.model_id, values)


class RunService:
    """The rpcs that compute."""

    def __init__(
        self,
        *,
        device: str,
        max_inline_bytes: int,
        reader: RequestReader,
        gate: Gate,
        pool: WorkerPool,
        models: ModelStore,
        tensors: TensorStore,
        leases: LeaseStore,
    ) -> None:
        self._device = device
        self._max_inline_bytes = max_inline_bytes
        self._reader = reader
        self._gate = gate
        self._pool = pool
        self._models = models
        self._tensors = tensors
        self._leases = leases

    async def run(self, _: Call, call: Call) -> None:
        """Header, `accepted`, chunks in, compute, chunks out, `summary`."""
        message = await read_header(call)
        header = message.SerializeToString(deterministic=True)
        with self._model_of(header, message) as model:
            request = await self._read(header, message, model)
            call.end_stage("decode")
            self._pool.check_open(request.options.priority)
            with (
                self._stored(request) as there,
                await self._reserve(_pool_bytes(request, there), call) as region,
            ):
                run = _placed(request, model, region, there)
                outputs = [spec_to_message(spec) for spec in request.outputs]
                await call.write(pb2.RunResponse(accepted=pb2.RunAccepted(outputs=outputs)))
                result = await self._stream(run, there.tensors, call)
        summary = pb2.CallRecord.FromString(self._summary(request, result, call))
        await call.write(pb2.RunResponse(summary=summary))

    async def run_inline(self, message: InlineRequest, call: Call) -> bytes:
        """`run` in one message each way. Returns a serialised RunInlineResponse."""
        with self._model_of(message.header) as model, self._leased(message.shared) as leased:
            request = await self._read(message.header, None, model)
            shared = NOTHING_SHARED if leased is None else _shared(request, *leased)
            self._check_inline(request, shared, message.data)
            call.end_stage("decode")
            self._pool.check_open(request.options.priority)
            with (
                self._stored(request, shared) as there,
                await self._reserve(_pool_bytes(request, there), call) as region,
            ):
                run = _placed(request, model, region, there)
                _fill(run.tensors, there, message.data)
                call.end_stage("transfer")
                await self._learn(run)
                result = await self._compute(run, call)
                response = inline_response(
                    request.output_specs,
                    [] if shared.outputs else [place.view() for place in run.outputs],
                    self._summary(request, result, call),
                    [place.offset for place in shared.outputs],
                )
                call.end_stage("encode")
                return response

    async def _read(
        self, header: bytes, message: pb2.RunHeader | None, model: Model | None
    ) -> Request:
        request = self._reader.recall(header)
        if request is not None:
            return request
        return await self._reader.read_run(header, message or _header(header), model)

    @contextmanager
    def _model_of(
        self, header: bytes, message: pb2.RunHeader | None = None
    ) -> Iterator[Model | None]:
        """The model that a header names, kept until the block ends; None if it names none."""
        request = self._reader.recall(header)
        model_id = request.model_id if request else (message or _header(header)).model_id
        if not model_id:
            yield None
            return
        with self._models.use(model_id) as model:
            yield model

    @contextmanager
    def _leased(self, shared: bytes) -> Iterator[tuple[pb2.Shared, Segment] | None]:
        """A serialised Shared and the memory that it names, kept until the block ends."""
        if not shared:
            yield None
            return
        message = _parse(pb2.Shared, shared, "shared")
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

    async def _learn(self, run: Run) -> None:
        """Check the tensors that came with their digests, and keep them for calls to come."""
        named = run.request.named
        if named:
            placements = dict(enumerate(run.tensors))
            await verify(named, placements)
            await self._tensors.keep(named, placements)

    async def _reserve(self, byte_count: int, call: Call) -> Region:
        region = await self._gate.reserve(byte_count)
        call.end_stage("queue")
        return region

    async def _stream(self, run: Run, there: Container[int], call: Call) -> JobResult:
        """Receive, compute and send at once: a piece as soon as what it reads has come."""
        arrival = Arrival(run.tensors, there)
        departure = Departure(run.outputs, run.request.rows)
        try:
            async with asyncio.TaskGroup() as group:
                receiving = group.create_task(self._receive(run, arrival, call))
                group.create_task(departure.send(call))
                jobs = run.jobs(call)
                for piece in run.request.pieces:
                    if piece is run.request.pieces[-1]:
                        await receiving  # bytes beyond the declared ones are an error
                    else:
                        await arrival.until(run.needed_bytes(piece, there))
                    call.end_stage("transfer")
                    # Only now: weights that have come are part of what calls are joined by.
                    result = await self._run(next(jobs), call)
                    departure.add(piece.made_rows)
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        call.end_stage("transfer")
        return result

    async def _receive(self, run: Run, arrival: Arrival, call: Call) -> None:
        await arrival.receive(call)
        await self._learn(run)

    async def _compute(self, run: Run, call: Call) -> JobResult:
        for job in run.jobs(call):
            result = await self._run(job, call)
        return result

    async def _run(self, job: Job, call: Call) -> JobResult:
        result = await self._pool.run(job)
        call.end_stage("queue")
        call.move_stage("queue", "compute", result.compute_seconds)
        call.work.append((result.steps.counts, result.batch_rows))
        return result

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

    def _summary(self, request: Request, result: JobResult, call: Call) -> bytes:
        """The serialised CallRecord. Fields of a message may stand in any order, in two parts."""
        seconds: dict[str, Any] = {f"{stage}_seconds": s for stage, s in call.stages.items()}
        record = pb2.CallRecord(
            request_id=call.request_id,
            device=self._device,
            batch_size=result.batch_rows,
            tile_count=len(request.pieces),
            **seconds,
        )
        return record.SerializeToString() + result.steps.message


def _parse(kind: type[M], data: bytes, field: str) -> M:
    try:
        return kind.FromString(data)
    except DecodeError:
        raise MalformedRequestError(
            f"the {len(data)} bytes are no {kind.DESCRIPTOR.name}",
            field=field,
            metadata={"received_bytes": len(data)},
        ) from None


def _header(data: bytes) -> pb2.RunHeader:
    return _parse(pb2.RunHeader, data, "header")


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


def _unshared(
    request: Request, shared: SharedTensors
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The tensors and the outputs that take room in the pool."""
    tensors = request.tensors
    if shared.tensors:
        tensors = tuple(spec for n, spec in enumerate(tensors) if n not in shared.tensors)
    return tensors, () if shared.outputs else request.outputs


def _pool_bytes(request: Request, shared: SharedTensors) -> int:
    if shared is NOTHING_SHARED:
        return request.pool_bytes
    tensors, outputs = _unshared(request, shared)
    return aligned_bytes((*tensors, *outputs))


def _placed(
    request: Request, model: Model | None, region: Region, shared: SharedTensors = NOTHING_SHARED
) -> Run:
    own_tensors, own_outputs = _unshared(request, shared)
    own = place(own_tensors, region)
    outputs = place(own_outputs, region, aligned_bytes(own_tensors))
    if shared.tensors:
        rest = iter(own)
        count = len(request.tensors)
        own = tuple(shared.tensors.get(n) or next(rest) for n in range(count))
    return Run(request, model, own, shared.outputs or outputs)


def _fill(
    placements: Sequence[Placement], shared: SharedTensors, data: Sequence[bytes | memoryview]
) -> None:
    """Put whole tensors in their places; of shared ones nothing is sent. Raises ByteCountError."""
    for position, (placement, values) in enumerate(zip(placements, data, strict=True)):
        spec = placement.spec
        expected = 0 if position in shared.tensors else spec.byte_count
        if len(values) != expected:
            raise ByteCountError(
                f"{len(values)} bytes came, but {expected} are declared",
                field=f"tensors[{spec.name!r}]",
                metadata={"received_bytes": len(values), "declared_bytes": expected},
            )
        if spec.dtype == "bool":
            check_bools(spec, memoryview(values), f"tensors[{spec.name!r}]")
        if expected:
            placement.view()[:] = values
