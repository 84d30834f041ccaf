"""Every error that convserve raises, on both sides of the wire.

```
ConvserveError
├── InvalidArgumentError (also a ValueError)      wrong input: fix it, do not retry
│   ├── InvalidLayerError                         a layer's own fields
│   ├── InvalidNetworkError                       the graph: names, cycles, weights
│   ├── ShapeError                                a shape that does not fit
│   ├── DTypeError                                an element type that does not fit
│   ├── ByteCountError                            declared and received bytes differ
│   ├── InlineTooLargeError                       too large for one message: use a stream
│   ├── AreaTooSmallError                         results do not fit the area given for them
│   └── MalformedRequestError                     bytes that are not the message
├── ResourceExhaustedError
│   ├── OverloadedError                           too much right now: retry after `retry_delay`
│   ├── TooLargeError                             never fits: make it smaller
│   └── QuotaError                                more than this caller may use
├── UnavailableError
│   ├── DrainingError                             the server is stopping
│   ├── WorkerDiedError                           the process that computed was lost
│   ├── NotBuiltError                             what was built for the device has gone: call again
│   └── UnreachableError                          no server answers at the address
├── NotFoundError
│   ├── ModelNotFoundError                        no such resident model: load it again
│   ├── LeaseNotFoundError                        no such lease of shared memory: ask for another
│   └── DeviceNotFoundError                       no such device or profile
├── FailedPreconditionError
│   ├── TensorMissingError                        tensors named by digest are not there: send them
│   └── NotLocalError                             the server shares no memory with this caller
├── UnsupportedError                              legal, but not done by this server
├── ChecksumError                                 bytes were damaged on the way
├── UnauthenticatedError                          no valid credential
├── DeadlineExceededError (also a TimeoutError)   not done in time
├── CallCancelledError                            the caller gave up
└── InternalError                                 a fault of the server; `error_id` is in its log
```

On the wire an error is a `google.rpc.Status` whose code is the class's `code` and whose details
hold `ErrorInfo(reason, domain="convserve", metadata)`, `BadRequest` for the field, and `RetryInfo`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, TypeVar

from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

DOMAIN = "convserve"
# A status travels in headers, once as text and once in base64, whose size gRPC bounds (8 KiB by
# default): beyond it the caller would learn nothing but that.
MAX_MESSAGE_BYTES = 1500
MAX_FIELD_BYTES = 300
MAX_VALUE_BYTES = 200

Errors = TypeVar("Errors", bound="ConvserveError")


class ConvserveError(Exception):
    """The root. `field` is the path of the wrong field, such as `layers[3].conv.groups`."""

    code: ClassVar[int] = code_pb2.UNKNOWN
    reason: ClassVar[str] = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        metadata: Mapping[str, object] | None = None,
        retry_delay: float | None = None,
    ) -> None:
        """`metadata` holds the numbers of the message; `retry_delay` is in seconds."""
        super().__init__(message)
        self.message = message
        self.field = field
        self.metadata = {key: str(value) for key, value in (metadata or {}).items()}
        self.retry_delay = retry_delay

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message

    @property
    def code_name(self) -> str:
        """The gRPC status code's name, such as `INVALID_ARGUMENT`."""
        return str(code_pb2.Code.Name(self.code))


class InvalidArgumentError(ConvserveError, ValueError):
    """The input is wrong; the same call will fail again."""

    code = code_pb2.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"


class InvalidLayerError(InvalidArgumentError):
    """A layer's own fields are wrong."""

    reason = "INVALID_LAYER"


class InvalidNetworkError(InvalidArgumentError):
    """The graph is wrong: names, cycles, missing or extra weights."""

    reason = "INVALID_NETWORK"


class ShapeError(InvalidArgumentError):
    """A shape does not fit the layer or the other tensors."""

    reason = "SHAPE_MISMATCH"


class DTypeError(InvalidArgumentError):
    """An element type is unknown, or not taken by the layer."""

    reason = "UNSUPPORTED_DTYPE"


class ByteCountError(InvalidArgumentError):
    """Declared bytes differ from shape x element size, or from those received."""

    reason = "BYTE_COUNT_MISMATCH"


class InlineTooLargeError(InvalidArgumentError):
    """The tensors do not fit one message; a stream takes them."""

    reason = "INLINE_TOO_LARGE"


class AreaTooSmallError(InvalidArgumentError):
    """The results need more shared memory than the call gives: `metadata["planned_bytes"]`."""

    reason = "AREA_TOO_SMALL"


class MalformedRequestError(InvalidArgumentError):
    """The bytes are not the message that the method takes."""

    reason = "MALFORMED_REQUEST"


class ResourceExhaustedError(ConvserveError):
    """The server will not spend what the call needs."""

    code = code_pb2.RESOURCE_EXHAUSTED
    reason = "RESOURCE_EXHAUSTED"


class OverloadedError(ResourceExhaustedError):
    """Too much is in flight; retry after `retry_delay` seconds."""

    reason = "OVERLOADED"


class TooLargeError(ResourceExhaustedError):
    """The call can never fit this server's limits."""

    reason = "TOO_LARGE"


class QuotaError(ResourceExhaustedError):
    """The caller's own share is used up."""

    reason = "QUOTA"


class UnavailableError(ConvserveError):
    """Nobody can take the call at the moment."""

    code = code_pb2.UNAVAILABLE
    reason = "UNAVAILABLE"


class DrainingError(UnavailableError):
    """The server is stopping and takes no new work."""

    reason = "DRAINING"


class WorkerDiedError(UnavailableError):
    """The process that computed the call was lost."""

    reason = "WORKER_DIED"


class NotBuiltError(UnavailableError):
    """What the call takes on its device was built before, and has gone; a repetition builds it."""

    reason = "NOT_BUILT"


class UnreachableError(UnavailableError):
    """No server answers at the address."""

    reason = "UNREACHABLE"


class NotFoundError(ConvserveError):
    """What the call names does not exist."""

    code = code_pb2.NOT_FOUND
    reason = "NOT_FOUND"


class ModelNotFoundError(NotFoundError):
    """No such resident model: it was never loaded, was unloaded, or the server restarted."""

    reason = "MODEL_NOT_FOUND"


class LeaseNotFoundError(NotFoundError):
    """No such lease of shared memory: its stream has ended, or the server restarted."""

    reason = "LEASE_NOT_FOUND"


class DeviceNotFoundError(NotFoundError):
    """No such device or profile."""

    reason = "DEVICE_NOT_FOUND"


class FailedPreconditionError(ConvserveError):
    """Something must be done before this call."""

    code = code_pb2.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"


class TensorMissingError(FailedPreconditionError):
    """Tensors that the call names by digest are not on the server.

    `metadata["missing"]` has their positions, such as `0-3,7`, and `metadata["count"]` how many
    they are: a long list is cut.
    """

    reason = "TENSOR_MISSING"


class NotLocalError(FailedPreconditionError):
    """The server shares no memory with this caller: tensors must be sent."""

    reason = "NOT_LOCAL"


class UnsupportedError(ConvserveError):
    """Legal, but this server or engine does not do it."""

    code = code_pb2.UNIMPLEMENTED
    reason = "UNSUPPORTED"


class ChecksumError(ConvserveError):
    """A chunk's checksum is wrong: its bytes were damaged on the way."""

    code = code_pb2.DATA_LOSS
    reason = "CHECKSUM_MISMATCH"


class UnauthenticatedError(ConvserveError):
    """There is no valid credential."""

    code = code_pb2.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class DeadlineExceededError(ConvserveError, TimeoutError):
    """The call was not done in time."""

    code = code_pb2.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class CallCancelledError(ConvserveError):
    """The caller gave up."""

    code = code_pb2.CANCELLED
    reason = "CANCELLED"


class InternalError(ConvserveError):
    """A fault of the server. `metadata["error_id"]` finds it in the server's log."""

    code = code_pb2.INTERNAL
    reason = "INTERNAL"


def error_classes(root: type[Errors]) -> Iterator[type[Errors]]:
    """`root` and everything below it."""
    yield root
    for child in root.__subclasses__():
        yield from error_classes(child)


# The one table: (reason -> class) for what this library raises, (code -> class) for anything else.
BY_REASON: dict[str, type[ConvserveError]] = {e.reason: e for e in error_classes(ConvserveError)}
BY_CODE: dict[int, type[ConvserveError]] = {
    e.code: e for e in reversed(list(error_classes(ConvserveError))) if e.reason != "UNKNOWN"
}


class error_at:  # noqa: N801  # read as a function; a class is several times as fast
    """Put `path` before the field of an error that passes: context is added once, at the top."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if not isinstance(error, ConvserveError):
            return
        joint = "." if error.field and not error.field.startswith("[") else ""
        error.field = f"{self._path}{joint}{error.field or ''}"


def to_status(error: ConvserveError) -> status_pb2.Status:
    """The error as the wire carries it."""
    message = _short(str(error), MAX_MESSAGE_BYTES)
    status = status_pb2.Status(code=error.code, message=message)
    metadata = {key: _short(value, MAX_VALUE_BYTES) for key, value in error.metadata.items()}
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    status.details.add().Pack(info)
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=_short(error.field, MAX_FIELD_BYTES),
            description=_short(error.message, MAX_MESSAGE_BYTES),
            reason=error.reason,
        )
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_delay is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(error.retry_delay * 1e9))
        status.details.add().Pack(retry)
    return status


def _short(text: str, limit_bytes: int) -> str:
    """The beginning of a text that may hold what a caller sent."""
    return text.encode(errors="replace")[:limit_bytes].decode(errors="ignore")


def from_status(status: status_pb2.Status) -> ConvserveError:
    """The exception that a status stands for; of the code's class where its reason is unknown."""
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        for target in (info, bad_request, retry):
            try:
                detail.Unpack(target)
            except DecodeError:
                continue  # a detail that nobody can read is no reason to lose the error
    kind = BY_REASON.get(info.reason) if info.domain == DOMAIN else None
    kind = kind or BY_CODE.get(status.code, ConvserveError)
    violations = bad_request.field_violations
    return kind(
        violations[0].description if violations else status.message,
        field=violations[0].field if violations else "",
        metadata=info.metadata,
        retry_delay=(
            retry.retry_delay.ToNanoseconds() / 1e9 if retry.HasField("retry_delay") else None
        ),
    )
