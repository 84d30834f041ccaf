"""What no plan may exceed: axes that an index of 32 bits counts, numbers of 63 bits."""

from __future__ import annotations

from convserve.errors import TooLargeError
from convserve.tensors import MAX_DIMENSION, TensorSpec

MAX_COUNT = 2**63 - 1  # what the wire carries
MAX_LAYERS = 16_384  # of a network: what a request may hold, and so what is read from a file
MAX_INPUTS = 1024  # of a network, and of a layer


def check_tensor(spec: TensorSpec) -> None:
    """Raise TooLargeError for an axis or a byte count that is beyond any device."""
    if spec.byte_count <= MAX_COUNT and max(spec.shape) <= MAX_DIMENSION:
        return
    for axis, size in enumerate(spec.shape):
        if size > MAX_DIMENSION:
            raise TooLargeError(
                f"axis {axis} of {spec.name!r}, {spec.shape}, would have {size} elements; the "
                f"limit is {MAX_DIMENSION}; make the input smaller",
                metadata={"axis": axis, "value": size, "limit": MAX_DIMENSION},
            )
    check_counts(f"bytes of {spec.name!r}, {spec.dtype} of shape {spec.shape}", spec.byte_count)


def check_counts(what: str, count: int) -> None:
    """Raise TooLargeError for a count that is beyond 63 bits."""
    if count > MAX_COUNT:
        raise TooLargeError(
            f"{count} {what} are beyond the limit of {MAX_COUNT}; make the input smaller",
            metadata={"value": count, "limit": MAX_COUNT},
        )
