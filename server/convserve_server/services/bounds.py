"""How much one request may ask to read: checked on lengths, before anything in it is looked at."""

from __future__ import annotations

from collections.abc import Sized

from convserve.errors import TooLargeError
from convserve.v1 import layer_pb2

from convserve_server.planning import limits

MAX_MESSAGE_BYTES = 8 << 20
# Of what opens a call. protobuf holds the interpreter's lock while it reads, so that a thread would
# not help: the smallest fields take 20 ms per MiB. Weights of 4096 layers are declared in 0.3 MiB,
# and 16,384 named layers take 0.5 MiB.
MAX_REQUEST_BYTES = 2 << 20
MAX_INLINE_BYTES = 1 << 20
MAX_LAYERS = limits.MAX_LAYERS
MAX_TENSORS = 16_384
MAX_INPUTS = limits.MAX_INPUTS


def check_length(values: Sized, limit: int, what: str, field: str) -> None:
    """Raise TooLargeError, with the field, for more than `limit` values."""
    if len(values) > limit:
        raise TooLargeError(
            f"{len(values)} {what} are above the limit of {limit}; split the network",
            field=field,
            metadata={"value": len(values), "limit": limit},
        )


def check_network(message: layer_pb2.Network) -> None:
    """Raise TooLargeError for too many layers, or inputs and outputs of any of them."""
    check_length(message.layers, MAX_LAYERS, "layers", "layers")
    check_length(message.inputs, MAX_INPUTS, "inputs", "inputs")
    check_length(message.outputs, MAX_INPUTS, "outputs", "outputs")
    for index, layer in enumerate(message.layers):
        check_length(layer.inputs, MAX_INPUTS, "inputs", f"layers[{index}].inputs")
