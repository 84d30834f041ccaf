"""Run and RunInline: decode, reserve memory, have the worker compute, and send what came out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import frozen
from convserve.codec import to_message
from convserve.errors import ByteCountError, InlineTooLargeError
from convserve.plans import CallRecord, ServerInfo
from convserve.tensors import check_bools, spec_to_message
from convserve.v1 import compute_service_pb2 as pb2

from convserve_server.observability.metrics import Metrics
from convserve_server.scheduling.gate import Gate
from convserve_server.services.calls import Call
from convserve_server.services.models import Model, ModelStore
from convserve_server.services.requests import Request, RequestReader
from convserve_server.services.streams import read_header, receive_tensors, result_messages
from convserve_server.workers.arena import Placement, Region, aligned_bytes, place
from convserve_server.workers.worker import Job, JobResult, Worker


@frozen
class Run:
    """A request whose memory is reserved: where its tensors come in and its results go."""

    request: Request
    model: Model | None
    tensors: tuple[Placement, ...]
    outputs: tuple[Placement, ...]

    def job(self, request_id: str) -> Job:
        """What the worker gets: a resident model's weights lie in the model's own region."""
        weights = self.model.placements if self.model else ()
        return Job(
            self.request.work,
            (*self.tensors, *weights),
            self.outputs,
            key=self.model.id if self.model else "",
            layout=self.request.layout,
            request_id=request_id,
        )


class RunService:
    """The rpcs that compute."""

    def __init__(
        self,
        *,
        info: ServerInfo,
        reader: RequestReader,
        gate: Gate,
        worker: Worker,
        models: ModelStore,
        metrics: Metrics,
    ) -> None:
        self._info = info
        self._reader = reader
        self._gate = gate
        self._worker = worker
        self._models = models
        self._metrics = metrics

    async def run(self, _: Call, call: Call) -> None:
        """Header, `accepted`, chunks in, compute, chunks out, `summary`."""
        with call.stage("decode"):
            header = await read_header(call)
        with self._model_of(header) as model:
            with call.stage("decode"):
                request = await self._reader.read_run(header, model)
            self._worker.check_open()
            with await self._reserve(request.pool_bytes, call) as region:
                run = _placed(request, model, region)
                outputs = [spec_to_message(spec) for spec in request.outputs]
                await call.write(pb2.RunResponse(accepted=pb2.RunAccepted(outputs=outputs)))
                with call.stage("decode"):
                    await receive_tensors(call, run.tensors)
                result = await self._compute(run, call)
                with call.stage("encode"):
                    for message in result_messages(run.outputs):
                        await call.write(message)
        await call.write(pb2.RunResponse(summary=self._record(request, result, call)))

    async def run_inline(self, message: pb2.RunInlineRequest, call: Call) -> pb2.RunInlineResponse:
        """`run` in one message each way."""
        with self._model_of(message.header) as model:
            with call.stage("decode"):
                request = await self._reader.read_run(message.header, model)
                self._check_inline(request, message.data)
            self._worker.check_open()
            with await self._reserve(request.pool_bytes, call) as region:
                run = _placed(request, model, region)
                with call.stage("decode"):
                    _fill(run.tensors, message.data)
                result = await self._compute(run, call)
                with call.stage("encode"):
                    response = pb2.RunInlineResponse(
                        outputs=[spec_to_message(spec) for spec in request.outputs],
                        data=[bytes(placement.view()) for placement in run.outputs],
                    )
        response.summary.CopyFrom(self._record(request, result, call))
        return response

    @contextmanager
    def _model_of(self, header: pb2.RunHeader) -> Iterator[Model | None]:
        """The model that a header names, kept until the block ends; None if it names none."""
        if header.WhichOneof("work") != "model_id":
            yield None
            return
        with self._models.use(header.model_id) as model:
            yield model

    async def _reserve(self, byte_count: int, call: Call) -> Region:
        with call.stage("queue"):
            return await self._gate.reserve(byte_count)

    async def _compute(self, run: Run, call: Call) -> JobResult:
        result = await self._worker.run(run.job(call.request_id))
        call.add_stage("queue", result.queue_seconds)
        call.add_stage("compute", result.compute_seconds)
        self._metrics.count_steps(result.steps)
        return result

    def _check_inline(self, request: Request, data: Sequence[bytes]) -> None:
        limit = self._info.limits.max_inline_bytes
        for what, size in (("request", request.input_bytes), ("response", request.output_bytes)):
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

    def _record(self, request: Request, result: JobResult, call: Call) -> pb2.CallRecord:
        seconds: dict[str, Any] = {
            f"{stage}_seconds": duration for stage, duration in call.stages.items()
        }
        record = CallRecord(
            request_id=call.request_id,
            device=self._info.devices[0].name,
            steps=result.steps,
            batch_size=request.batch_size,
            **seconds,
        )
        return to_message(record, pb2.CallRecord())


def _placed(request: Request, model: Model | None, region: Region) -> Run:
    tensors = place(request.tensors, region)
    outputs = place(request.outputs, region, aligned_bytes(request.tensors))
    return Run(request, model, tensors, outputs)


def _fill(placements: Sequence[Placement], data: Sequence[bytes]) -> None:
    """Put whole tensors in their places. Raises ByteCountError."""
    for placement, values in zip(placements, data, strict=True):
        spec = placement.spec
        path = f"tensors[{spec.name!r}]"
        if len(values) != spec.byte_count:
            raise ByteCountError(
                f"{len(values)} bytes came, but {spec.byte_count} are declared",
                field=path,
                metadata={"received_bytes": len(values), "declared_bytes": spec.byte_count},
            )
        check_bools(spec, memoryview(values), path)
        placement.view()[:] = values
