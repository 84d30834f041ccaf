"""What the front asks a planner process with cuDNN, and what it answers. Imports no cuDNN."""

from __future__ import annotations

import msgspec

from convserve_server.planning.devices.properties import DeviceProperties
from convserve_server.planning.kernels import Convolution, Offer

# Why cuDNN has no plan for some graphs: it would have to compile one.
NEEDS_DRIVER = "it would compile a kernel for it, for which it needs NVIDIA's driver"


class OfferRequest(msgspec.Struct, frozen=True):
    """Which kernels there are for a convolution on a GPU with these properties."""

    properties: DeviceProperties
    convolution: Convolution


_encoder = msgspec.msgpack.Encoder()
_request_decoder = msgspec.msgpack.Decoder(OfferRequest)
_offer_decoder = msgspec.msgpack.Decoder(Offer)


def encode_request(request: OfferRequest) -> bytes:
    """What `decode_request` reads. Equal requests have equal bytes."""
    return _encoder.encode(request)


def decode_request(data: bytes) -> OfferRequest:
    """The request of `encode_request`."""
    return _request_decoder.decode(data)


def encode_offer(offer: Offer) -> bytes:
    """What `decode_offer` reads."""
    return _encoder.encode(offer)


def decode_offer(data: bytes) -> Offer:
    """The offer of `encode_offer`. Raises msgspec.MsgspecError for bytes that are none."""
    return _offer_decoder.decode(data)
