"""LoadModel, UnloadModel and ListModels: networks whose weights stay on the server."""

from __future__ import annotations

from convserve.codec import to_message
from convserve.servers import ModelInfo
from convserve.v1 import compute_service_pb2 as pb2

from convserve_server.services.calls import Call
from convserve_server.services.digests import verify
from convserve_server.services.models import ModelStore
from convserve_server.services.requests import LoadRequest, RequestReader
from convserve_server.services.streams import Arrival, read_header
from convserve_server.services.tensors import Stored, TensorStore
from convserve_server.workers.arena import aligned_bytes, place


class ModelService:
    """The rpcs about resident models."""

    def __init__(self, reader: RequestReader, tensors: TensorStore, models: ModelStore) -> None:
        self._reader = reader
        self._tensors = tensors
        self._models = models

    async def load_model(self, _: Call, call: Call) -> pb2.LoadModelResponse:
        """Header, chunks in; the weights stay where they were put, or where they are already."""
        header = await read_header(call)
        request = await self._reader.read_load(header)
        call.end_stage("decode")
        with self._tensors.use(request.named) as found:
            came = await self._receive(request, found, call)
            self._tensors.hold(found.parcels)  # for the model: this block's own end with it
        places = found.placements | came.placements
        model = self._models.add(
            request.network,
            request.options,
            request.header_bytes,
            tuple(places[position] for position in range(len(request.weights))),
            (*found.parcels, *came.parcels),
        )
        return pb2.LoadModelResponse(model=_model_message(model.info))

    async def _receive(self, request: LoadRequest, found: Stored, call: Call) -> Stored:
        """Take the weights that are not found into the tensor store."""
        positions = [n for n in range(len(request.weights)) if n not in found.placements]
        specs = [request.weights[position] for position in positions]
        async with self._models.room(aligned_bytes(specs)) as region:
            call.end_stage("queue")
            own = dict(zip(positions, place(specs, region), strict=True))
            places = own | found.placements
            ordered = [places[position] for position in range(len(places))]
            await Arrival(ordered, found.placements).receive(call)
            call.end_stage("transfer")
            await verify(request.named, own)
            call.end_stage("decode")
            return self._tensors.settle(region, request.named, own)

    async def unload_model(
        self, message: pb2.UnloadModelRequest, call: Call
    ) -> pb2.UnloadModelResponse:
        """Returns once the memory is free."""
        await self._models.unload(message.model_id)
        return pb2.UnloadModelResponse()

    async def list_models(
        self, message: pb2.ListModelsRequest, call: Call
    ) -> pb2.ListModelsResponse:
        """A page of the resident models, oldest first."""
        models, token = self._models.page(message.page_size, message.page_token)
        return pb2.ListModelsResponse(
            models=[_model_message(model) for model in models], next_page_token=token
        )


def _model_message(model: ModelInfo) -> pb2.Model:
    return to_message(model, pb2.Model())
