"""What is told of a call that has run: the server's summary, and its timings."""

from __future__ import annotations

import re
from typing import Any

from attrs import evolve, fields
from convserve.codec import from_message
from convserve.errors import InternalError
from convserve.runs import CallRecord
from convserve.v1 import compute_service_pb2 as compute_pb2
from google.protobuf.message import DecodeError

from convserve_client._flows import Metadata

TIMING_KEY = "server-timing"
# A metric of Server-Timing with its milliseconds: `decode;dur=0.12`.
_METRIC = re.compile(r"([a-z]+);dur=(\d+(?:\.\d+)?(?:e[+-]?\d+)?)")
_STAGES = frozenset(field.name for field in fields(CallRecord) if field.name.endswith("_seconds"))


def call_record(summary: bytes, trailers: Metadata) -> CallRecord:
    """The record of a call: its serialised summary, with the seconds that the trailers tell.

    The server writes the summary before it has sent the results, and the trailers after: only the
    trailers know all of its time. Raises InternalError for bytes that are no summary.
    """
    try:
        message = compute_pb2.CallRecord.FromString(summary)
    except DecodeError as error:
        raise InternalError("the server sent a summary that cannot be read") from error
    return evolve(from_message(message, CallRecord), **_stage_seconds(trailers))


def _stage_seconds(trailers: Metadata) -> dict[str, Any]:
    """The stages of `server-timing` as fields of CallRecord; what is not known is left out."""
    text = next((value for key, value in trailers if key == TIMING_KEY), "")
    seconds = {f"{name}_seconds": float(value) / 1000 for name, value in _METRIC.findall(text)}
    return {name: value for name, value in seconds.items() if name in _STAGES}
