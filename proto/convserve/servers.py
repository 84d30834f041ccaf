"""What a server is, has and allows: frozen values, the same on both sides of the wire."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Figure:
    """One figure of a device, with its unit, its source and the date (YYYY-MM-DD) of that."""

    name: str
    value: float
    unit: str
    source: str = ""
    date: str = ""


@frozen(kw_only=True)
class Device:
    """Something that computes, or that can be planned for."""

    name: str
    engine: str
    description: str = ""
    memory_bytes: int = 0
    thread_count: int = 0
    available: bool = True
    figures: tuple[Figure, ...] = ()


@frozen(kw_only=True)
class Limits:
    """What a server accepts. Bytes are of tensors unless said otherwise."""

    max_inline_bytes: int
    max_message_bytes: int
    chunk_bytes: int
    tensor_pool_bytes: int
    max_rank: int
    max_layers: int
    max_call_seconds: float
    worker_memory_bytes: int
    max_request_bytes: int
    max_tensors: int
    max_inputs: int
    max_lease_bytes: int = 0


@frozen(kw_only=True)
class Library:
    """A library that a server computes with."""

    name: str
    version: str


@frozen(kw_only=True)
class ServerInfo:
    """What a server is and allows."""

    version: str
    engines: tuple[str, ...]
    devices: tuple[Device, ...]
    limits: Limits
    libraries: tuple[Library, ...] = ()


@frozen(kw_only=True)
class ModelInfo:
    """A network with weights resident on the server."""

    id: str
    weight_bytes: int = 0
    parameter_count: int = 0
    layer_count: int = 0
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
