"""PlanningService's answers about one layer: explained, compared elsewhere, looked for."""

from __future__ import annotations

import asyncio

from convserve.codec import from_message, layer_from_message, to_message
from convserve.errors import InvalidArgumentError, error_at
from convserve.v1 import explanation_pb2 as messages

from convserve_server.planning.devices import profiles
from convserve_server.planning.explaining import explain_layer
from convserve_server.planning.inverse import Search, find_layers
from convserve_server.services.bounds import check_length
from convserve_server.services.calls import Call
from convserve_server.services.headers import read_inputs
from convserve_server.services.plans import advisor_of, profile_of
from convserve_server.services.targets import Targets

MAX_SIZES = 3


class ExplainingService:
    """The rpcs ExplainLayer and FindLayers of `convserve.v1.PlanningService`."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

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
        self._targets.check(request.device, profiles())
        host = self._targets.host(request.device)
        check_length(request.wanted_size, MAX_SIZES, "sizes", "wanted_size")
        with error_at("layer"):
            layer = layer_from_message(request.layer) if kind == "layer" else None
        profile = profile_of(request.device, host)
        explanation = explain_layer(
            request.text if layer is None else layer,
            read_inputs(request.inputs),
            advisor=advisor_of(profile, host),
            dialect=request.dialect,
            wanted=tuple(request.wanted_size),
            compare=request.compare,
            device=profile.name,
            profile=profile,
        )
        response = messages.ExplainLayerResponse()
        to_message(explanation, response.explanation)
        return response
