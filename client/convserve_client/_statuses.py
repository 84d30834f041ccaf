"""What went wrong with a call: from the statuses of gRPC to the tree of errors."""

from __future__ import annotations

from typing import Any

from convserve.errors import (
    BY_CODE,
    CallCancelledError,
    ConvserveError,
    DeadlineExceededError,
    UnreachableError,
    from_status,
)
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, status_pb2

from convserve_client._flows import Exclusive, Metadata

DETAILS_KEY = "grpc-status-details-bin"


def waited(command: Exclusive) -> DeadlineExceededError:
    """What a flow is told that has waited for a lock until its deadline."""
    return DeadlineExceededError(
        f"other calls kept this one waiting for the {command.timeout:.3g} seconds that were left",
        field="timeout",
        metadata={"timeout_seconds": command.timeout},
    )


def error_of(error: Any, address: str, timeout: float) -> ConvserveError:
    """The exception of the tree that an error of gRPC stands for."""
    status = _status_of(error.trailing_metadata() or ())
    if status is not None:
        return from_status(status)
    code, details = error.code().value[0], (error.details() or "")[:300]
    if code == code_pb2.UNAVAILABLE:
        return UnreachableError(
            f"no server answers at {address}: is convserve-server running? ({details})",
            metadata={"address": address},
        )
    if code == code_pb2.DEADLINE_EXCEEDED:
        return DeadlineExceededError(
            f"the server did not answer within the {timeout:.3g} seconds that were left",
            field="timeout",
            metadata={"timeout_seconds": timeout},
        )
    if code == code_pb2.CANCELLED:
        return CallCancelledError(f"the call was cancelled ({details})")
    return BY_CODE.get(code, ConvserveError)(details or f"gRPC status {error.code().name}")


def _status_of(metadata: Metadata) -> status_pb2.Status | None:
    for key, value in metadata:
        if key == DETAILS_KEY:
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None
