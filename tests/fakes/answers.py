"""Responses of a server, made by hand: what a ScriptedDriver or a fake service answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convserve.codec import to_message
from convserve.runs import CallRecord, StepRecord
from convserve.tensors import Array, spec_of, spec_to_message, wire_bytes
from convserve.v1 import compute_service_pb2 as compute_pb2
from google.protobuf.message import Message

from tests.chunks import chunks

RECORD = CallRecord(
    request_id="r-1",
    device="cpu",
    steps=(StepRecord(name="conv1", engine="cpu", algorithm="im2col"),),
    compute_seconds=0.5,
)

Answer = Callable[[list[Any]], list[Message]]


def inline(**results: Array) -> Answer:
    """RunInline's response with these results."""
    response = compute_pb2.RunInlineResponse(
        outputs=[spec_to_message(spec_of(name, array)) for name, array in results.items()],
        data=[bytes(wire_bytes(array)) for array in results.values()],
    )
    to_message(RECORD, response.summary)
    return lambda _: [response]


def stream(chunk_bytes: int = 1 << 20, **results: Array) -> Answer:
    """Run's responses with these results, in order."""
    specs = [spec_to_message(spec_of(name, array)) for name, array in results.items()]
    accepted = compute_pb2.RunResponse(accepted=compute_pb2.RunAccepted(outputs=specs))
    pieces = chunks([wire_bytes(array) for array in results.values()], chunk_bytes)
    summary = compute_pb2.RunResponse()
    to_message(RECORD, summary.summary)
    return lambda _: [accepted, *(compute_pb2.RunResponse(chunk=p) for p in pieces), summary]


def loaded(model_id: str) -> Answer:
    """LoadModel's response."""
    return lambda _: [compute_pb2.LoadModelResponse(model=compute_pb2.Model(id=model_id))]


def unloaded() -> Answer:
    """UnloadModel's response."""
    return lambda _: [compute_pb2.UnloadModelResponse()]
