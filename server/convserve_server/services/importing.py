"""ImportNetwork: another program's model file becomes a network, and weights that stay."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from convserve.errors import InvalidArgumentError, OverloadedError, TooLargeError
from convserve.tensors import MAX_DIMENSION, TensorSpec, spec_to_message
from convserve.v1 import planning_service_pb2 as pb2

from convserve_server.planners.pool import PlannerPool
from convserve_server.planning.importers.imported import Weight
from convserve_server.planning.importers.task import decode_answer, header_format, header_shapes
from convserve_server.scheduling.gate import Gate
from convserve_server.services.bounds import MAX_INPUTS, MAX_TENSORS, check_length, check_network
from convserve_server.services.calls import Call
from convserve_server.services.digests import NamedTensor
from convserve_server.services.holding import work_on
from convserve_server.services.models import ModelStore
from convserve_server.services.streams import Arrival, read_header
from convserve_server.services.tensors import TensorStore
from convserve_server.workers.arena import Placement, aligned_bytes, place


class ImportService:
    """The rpc about other programs' files. A file lies in the tensor pool while it is read."""

    def __init__(
        self, gate: Gate, tensors: TensorStore, models: ModelStore, planners: PlannerPool
    ) -> None:
        """`planners` have the memory that `gate` hands out."""
        self._gate = gate
        self._planners = planners
        self._tensors = tensors
        self._models = models

    async def import_network(self, _: Call, call: Call) -> pb2.ImportNetworkResponse:
        """Header, chunks in; the file goes, and its weights stay if there is room for them now."""
        header = await read_header(call)
        spec = _file_spec(header)
        region = await self._gate.reserve(spec.byte_count)
        call.end_stage("queue")
        try:
            file = Placement(spec, region, 0)
            await Arrival([file]).receive(call)
            call.end_stage("transfer")
            response, weights = await self._read(header, file)
            call.end_stage("decode")
            digests = await self._keep(header, file, weights, response)
            call.end_stage("compute")
        finally:
            region.release()
        for weight, sha256 in zip(weights, digests, strict=True):
            response.weights.add(spec=spec_to_message(weight.spec), sha256=sha256)
        return response

    async def _read(
        self, header: pb2.ImportNetworkHeader, file: Placement
    ) -> tuple[pb2.ImportNetworkResponse, tuple[Weight, ...]]:
        request = header.SerializeToString()
        where = (file.address, file.spec.byte_count)
        answer = await self._planners.run("import_network", request, region=where)
        response, weights = decode_answer(answer)
        check_network(response.network)
        check_length(weights, MAX_TENSORS, "weights", "weights")
        return response, weights

    async def _keep(
        self,
        header: pb2.ImportNetworkHeader,
        file: Placement,
        weights: Sequence[Weight],
        response: pb2.ImportNetworkResponse,
    ) -> Sequence[bytes]:
        """Put the weights into the tensor store; their digests, empty where there is no room.

        What is there already needs no room. The file's own memory is held meanwhile, so this waits
        for nobody.
        """
        if header.without_weights or not weights:
            return [b""] * len(weights)
        digests = await work_on([file.region], _digests, file.view(), weights)
        known = [each for each in _named(weights, digests) if each.sha256]
        here = self._tensors.hold_known(known)
        try:
            fresh = [n for n in range(len(weights)) if n not in here.placements]
            made = await self._make(file, [weights[n] for n in fresh], [digests[n] for n in fresh])
        except (TooLargeError, OverloadedError) as error:
            response.notes.append(f"the weights are not kept: {error.message}")
            return [b""] * len(weights)
        finally:
            self._tensors.drop(here.parcels)
        by_position = dict(zip(fresh, made, strict=True))
        return [by_position.get(n, digest) for n, digest in enumerate(digests)]

    async def _make(
        self, file: Placement, weights: Sequence[Weight], digests: Sequence[bytes]
    ) -> Sequence[bytes]:
        """Put weights into the tensor store; all digests. Raises what `ModelStore.room` does."""
        if not weights:
            return []
        specs = [weight.spec for weight in weights]
        async with self._models.room(aligned_bytes(specs), wait=False) as region:
            places = place(specs, region)
            digests = await work_on(
                [file.region, region], _write, file.view(), weights, digests, places
            )
            named = _named(weights, digests)
            stored = self._tensors.settle(region, named, dict(enumerate(places)))
        self._tensors.drop(stored.parcels)
        return digests


def _file_spec(header: pb2.ImportNetworkHeader) -> TensorSpec:
    """The file as a tensor of bytes. Raises InvalidArgumentError, TooLargeError."""
    header_format(header)  # a file that nobody reads need not be sent
    check_length(header.inputs, MAX_INPUTS, "inputs", "inputs")
    header_shapes(header)
    if header.byte_count < 1:
        raise InvalidArgumentError(
            f"{header.byte_count} bytes are no file; the least is 1",
            field="byte_count",
            metadata={"value": header.byte_count, "limit": 1},
        )
    if header.byte_count > MAX_DIMENSION:
        raise TooLargeError(
            f"a file of {header.byte_count} bytes is above the limit of {MAX_DIMENSION}",
            field="byte_count",
            metadata={"value": header.byte_count, "limit": MAX_DIMENSION},
        )
    return TensorSpec("file", "uint8", (header.byte_count,))


def _named(weights: Sequence[Weight], digests: Sequence[bytes]) -> list[NamedTensor]:
    return [
        NamedTensor(position, weight.spec, sha256, sent=True)
        for position, (weight, sha256) in enumerate(zip(weights, digests, strict=True))
    ]


def _digests(file: memoryview, weights: Sequence[Weight]) -> list[bytes]:
    """The SHA-256 of each weight whose bytes are at hand, empty for one that must be made."""
    stored = [weight.stored_bytes(file) for weight in weights]
    return [b"" if data is None else hashlib.sha256(data).digest() for data in stored]


def _write(
    file: memoryview,
    weights: Sequence[Weight],
    digests: Sequence[bytes],
    places: Sequence[Placement],
) -> list[bytes]:
    """Put each weight in its place; the SHA-256 of each."""
    made = []
    for weight, digest, placement in zip(weights, digests, places, strict=True):
        target = placement.view()
        weight.write(file, target)
        made.append(digest or hashlib.sha256(target).digest())
    return made
