"""LoadModel, UnloadModel and ListModels: networks whose weights stay on the server."""

from __future__ import annotations

from convserve.codec import to_message
from convserve.plans import ModelInfo
from convserve.v1 import compute_service_pb2 as pb2

from convserve_server.scheduling.gate import Gate
from convserve_server.services.calls import Call
from convserve_server.services.models import ModelStore
from convserve_server.services.requests import RequestReader
from convserve_server.services.streams import read_header, receive_tensors
from convserve_server.workers.arena import Region, aligned_bytes, place


class ModelService:
    """The rpcs about resident models."""

    def __init__(self, reader: RequestReader, gate: Gate, models: ModelStore) -> None:
        self._reader = reader
        self._gate = gate
        self._models = models

    async def load_model(self, _: Call, call: Call) -> pb2.LoadModelResponse:
        """Header, chunks in; the weights stay where they were put."""
        with call.stage("decode"):
            header = await read_header(call)
            request = await self._reader.read_load(header)
        byte_count = aligned_bytes(request.weights)
        await self._models.claim(byte_count)
        region: Region | None = None
        try:
            with call.stage("queue"):
                region = await self._gate.reserve(byte_count, lasting=True)
            placements = place(request.weights, region)
            with call.stage("decode"):
                await receive_tensors(call, placements)
            model = self._models.add(
                request.network, request.options, request.header_bytes, placements, region
            )
        except BaseException:  # a cancelled call too must give back what it holds
            if region is not None:
                region.release()
            self._models.unclaim(byte_count)
            raise
        return pb2.LoadModelResponse(model=_model_message(model.info))

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
