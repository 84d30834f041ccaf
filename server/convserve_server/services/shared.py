"""Where a request's tensors lie in the memory that its caller shares. Nothing of it is trusted."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from convserve.errors import AreaTooSmallError, DTypeError, InvalidArgumentError
from convserve.tensors import ALIGNMENT, TensorSpec
from convserve.v1 import compute_service_pb2 as pb2

from convserve_server.workers.arena import Placement, aligned_bytes, place
from convserve_server.workers.segments import Segment


@frozen
class SharedTensors:
    """What lies in the caller's memory: tensors by their position, and all the outputs or none."""

    tensors: dict[int, Placement]
    outputs: tuple[Placement, ...]


@frozen
class _Area:
    """Bytes of a segment, and the field that names them."""

    field: str
    start: int
    byte_count: int

    @property
    def end(self) -> int:
        return self.start + self.byte_count

    def overlaps(self, other: _Area) -> bool:
        """Whether they have a byte in common."""
        return max(self.start, other.start) < min(self.end, other.end)


def read_shared(
    message: pb2.Shared,
    tensors: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    segment: Segment,
) -> SharedTensors:
    """The places of `tensors` and `outputs` in the segment of the lease that `message` names.

    Inputs may overlap each other, but not the area for the outputs. Raises InvalidArgumentError,
    DTypeError for booleans, and AreaTooSmallError, with the field's path.
    """
    placements: dict[int, Placement] = {}
    area = _output_area(message, outputs, segment)
    for index, shared in enumerate(message.tensors):
        path = f"shared.tensors[{index}]"
        spec = _spec(shared.tensor, tensors, f"{path}.tensor")
        if shared.tensor in placements:
            raise InvalidArgumentError(
                f"tensor {shared.tensor} has a place already; name each once",
                field=f"{path}.tensor",
                metadata={"value": shared.tensor},
            )
        lies = _Area(f"{path}.offset", shared.offset, spec.byte_count)
        _check_inside(lies, segment)
        _check_apart(lies, area)
        placements[shared.tensor] = Placement(spec, segment, shared.offset)
    room = place(outputs, segment, area.start) if message.output_bytes else ()
    return SharedTensors(placements, room)


def _output_area(message: pb2.Shared, outputs: Sequence[TensorSpec], segment: Segment) -> _Area:
    """Where the results go: no bytes if they come in the answer."""
    if message.output_bytes < 0:
        raise InvalidArgumentError(
            f"{message.output_bytes} is not a number of bytes",
            field="shared.output_bytes",
            metadata={"value": message.output_bytes, "limit": 0},
        )
    if not message.output_bytes:
        return _Area("shared.output_offset", 0, 0)
    area = _Area("shared.output_offset", message.output_offset, message.output_bytes)
    _check_inside(area, segment)
    needed = aligned_bytes(outputs)
    if needed > area.byte_count:
        raise AreaTooSmallError(
            f"the results take {needed} bytes of shared memory, and {area.byte_count} are given",
            field="shared.output_bytes",
            metadata={"planned_bytes": needed, "given_bytes": area.byte_count},
        )
    return area


def _spec(position: int, tensors: Sequence[TensorSpec], path: str) -> TensorSpec:
    if not 0 <= position < len(tensors):
        raise InvalidArgumentError(
            f"{position} is not the position of one of the {len(tensors)} declared tensors",
            field=path,
            metadata={"value": position, "limit": len(tensors)},
        )
    spec = tensors[position]
    if spec.dtype == "bool":  # they are checked once, and could be changed afterwards
        raise DTypeError(
            f"{spec.name!r} is a tensor of booleans, which cannot be shared; send its values",
            field=path,
        )
    return spec


def _check_inside(area: _Area, segment: Segment) -> None:
    if area.start % ALIGNMENT:
        raise InvalidArgumentError(
            f"{area.start} is not a multiple of {ALIGNMENT}",
            field=area.field,
            metadata={"value": area.start, "limit": ALIGNMENT},
        )
    if area.start < 0 or area.end > segment.byte_count:
        raise InvalidArgumentError(
            f"{area.byte_count} bytes from {area.start} on are not inside the lease of "
            f"{segment.byte_count} bytes",
            field=area.field,
            metadata={
                "value": area.start,
                "byte_count": area.byte_count,
                "limit": segment.byte_count,
            },
        )


def _check_apart(lies: _Area, outputs: _Area) -> None:
    if lies.overlaps(outputs):
        raise InvalidArgumentError(
            f"bytes {lies.start} to {lies.end} overlap the {outputs.byte_count} bytes for results "
            f"from {outputs.start} on; keep them apart",
            field=lies.field,
            metadata={"value": lies.start, "output_offset": outputs.start},
        )
