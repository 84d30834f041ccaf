"""Where a call's tensors come in and its results go, and what the workers get to do on them."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterator, Sequence

from attrs import frozen
from convserve.errors import ByteCountError
from convserve.tensors import TensorSpec, check_bools

from convserve_server.services.calls import Call
from convserve_server.services.models import Model
from convserve_server.services.pieces import EncodedPiece
from convserve_server.services.requests import Request
from convserve_server.services.shared import SharedTensors
from convserve_server.workers.arena import Placement, Region, aligned_bytes, place
from convserve_server.workers.jobs import Job

NOTHING_SHARED = SharedTensors({}, ())
# Weights that come with a call are compared byte by byte with those of others to join them.
MAX_COMPARED_BYTES = 64 << 10


@frozen(eq=False)
class Placed:
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
                is_frugal=piece.is_frugal,
                key=request.model_id if piece.has_whole_weights else "",
                layout=request.options.layout,
                precision=request.options.precision,
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
        """What calls have in common that may be one batch: work, layout, precision and weights.

        Each device has a queue of its own.
        """
        request = self.request
        if not request.sample_work or len(request.pieces) > 1:
            return None
        weights = [self.tensors[position] for position in request.weights]
        if any(weight.region.segment for weight in weights):
            return None  # their caller may change them after they were compared
        if sum(weight.spec.byte_count for weight in weights) > MAX_COMPARED_BYTES:
            return None
        values = tuple(bytes(weight.view()) for weight in weights)
        options = request.options
        return (request.sample_work, options.layout, options.precision, request.model_id, values)


def pool_bytes(request: Request, shared: SharedTensors) -> int:
    """How many bytes of tensor memory a request needs beside what is shared."""
    if shared is NOTHING_SHARED:
        return request.pool_bytes
    tensors, outputs = _unshared(request, shared)
    return aligned_bytes((*tensors, *outputs))


def place_request(
    request: Request, model: Model | None, region: Region, shared: SharedTensors
) -> Placed:
    """The request with its tensors in a region of `pool_bytes`, but for those that are shared."""
    own_tensors, own_outputs = _unshared(request, shared)
    own = place(own_tensors, region)
    outputs = place(own_outputs, region, aligned_bytes(own_tensors))
    if shared.tensors:
        rest = iter(own)
        count = len(request.tensors)
        own = tuple(shared.tensors.get(n) or next(rest) for n in range(count))
    return Placed(request, model, own, shared.outputs or outputs)


def fill(
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


def _unshared(
    request: Request, shared: SharedTensors
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The tensors and the outputs that take room in the pool."""
    tensors = request.tensors
    if shared.tensors:
        tensors = tuple(spec for n, spec in enumerate(tensors) if n not in shared.tensors)
    return tensors, () if shared.outputs else request.outputs
