"""What the front asks of processes that build for GPUs, and their answers. Imports no CUDA."""

from __future__ import annotations

import msgspec

from convserve_server.engines.cuda.graphs import ConvGraph, Prepared
from convserve_server.engines.cuda.recipe import Instance
from convserve_server.planning.devices.properties import DeviceProperties
from convserve_server.planning.kernels import Policy


class PlanRequest(msgspec.Struct, frozen=True):
    """cuDNN's plan for a graph, for a GPU with these properties, within what `policy` allows."""

    properties: DeviceProperties
    graph: ConvGraph
    policy: Policy


class KernelRequest(msgspec.Struct, frozen=True):
    """One of our kernels, for GPUs of an architecture such as `sm_90`."""

    instance: Instance
    architecture: str


class Built(msgspec.Struct, frozen=True):
    """What was built, or why there is none.

    It does not `last` where there might be more with NVIDIA's driver at hand.
    """

    prepared: Prepared
    lasts: bool = True


_encoder = msgspec.msgpack.Encoder()
_plan_decoder = msgspec.msgpack.Decoder(PlanRequest)
_kernel_decoder = msgspec.msgpack.Decoder(KernelRequest)
_built_decoder = msgspec.msgpack.Decoder(Built)


def encode(message: PlanRequest | KernelRequest | Built) -> bytes:
    """What the function of its kind below reads."""
    return _encoder.encode(message)


def decode_plan_request(data: bytes) -> PlanRequest:
    """The request that was encoded."""
    return _plan_decoder.decode(data)


def decode_kernel_request(data: bytes) -> KernelRequest:
    """The request that was encoded."""
    return _kernel_decoder.decode(data)


def decode_built(data: bytes) -> Built:
    """The answer that was encoded. Raises msgspec.MsgspecError for bytes that are none."""
    return _built_decoder.decode(data)
