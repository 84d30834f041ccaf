"""PlanningService's answers about one layer: explained, compared elsewhere, looked for."""

from __future__ import annotations

import asyncio

from convserve.codec import from_message, layer_from_message, to_message
from convserve.errors import InvalidArgumentError, error_at
from convserve.plans import RunOptions
from convserve.tensors import TensorSpec, spec_from_message
from convserve.v1 import explanation_pb2 as messages
from convserve.v1.planning_service_pb2 import PlanRequest

from convserve_server.planning.devices import profiles
from convserve_server.planning.explaining import explain_layer
from convserve_server.planning.inverse import Search, find_layers
from convserve_server.services.bounds import MAX_INPUTS, check_length
from convserve_server.services.calls import Call
from convserve_server.services.plans import Host, advisor_of, profile_of
from convserve_server.services.requests import RequestReader

MAX_SIZES = 3


class ExplainingService:
    """The rpcs ExplainLayer and FindLayers of `convserve.v1.PlanningService`."""

    def __init__(self, host: Host, reader: RequestReader) -> None:
        self._host = host
        self._reader = reader

    async def explain_layer(
        self, request: messages.ExplainLayerRequest, call: Call
    ) -> messages.ExplainLayerResponse:
        """Explain one layer."""
        response = await asyncio.to_thread(self._explain, request)
        call.end_stage("compute")
        return response

    async def find_layers(
        self, request: messages.FindLayersRequest, call: Call
    ) -> messages.FindLayersResponse:
        """Find the layers that make one size of another."""
        found = await asyncio.to_thread(find_layers, from_message(request, Search))
        call.end_stage("compute")
        response = messages.FindLayersResponse()
        to_message(found, response.found)
        return response

    def _explain(self, request: messages.ExplainLayerRequest) -> messages.ExplainLayerResponse:
        kind = request.WhichOneof("subject")
        if kind is None:
            raise InvalidArgumentError("give a layer or a text", field="subject")
        self._reader.check_device(request.device, profiles())
        check_length(request.wanted_size, MAX_SIZES, "sizes", "wanted_size")
        with error_at("layer"):
            layer = layer_from_message(request.layer) if kind == "layer" else None
        asked, profile = PlanRequest(device=request.device), profile_of(request.device, self._host)
        options = RunOptions(device=request.device)
        explanation = explain_layer(
            request.text if layer is None else layer,
            _read_inputs(request),
            advisor=advisor_of(asked, options, profile, self._host, None),
            dialect=request.dialect,
            wanted=tuple(request.wanted_size),
            compare=request.compare,
            device=profile.name,
            profile=profile,
        )
        response = messages.ExplainLayerResponse()
        to_message(explanation, response.explanation)
        return response


def _read_inputs(request: messages.ExplainLayerRequest) -> list[TensorSpec]:
    check_length(request.inputs, MAX_INPUTS, "inputs", "inputs")
    specs = []
    for index, message in enumerate(request.inputs):
        with error_at(f"inputs[{index}]"):
            specs.append(spec_from_message(message))
    return specs
