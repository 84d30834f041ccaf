"""A small tensor store, and tensors to put there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from attrs import evolve
from convserve.tensors import TensorSpec
from convserve_server.scheduling.gate import Gate
from convserve_server.services.digests import NamedTensor
from convserve_server.services.tensors import Stored, TensorStore
from convserve_server.workers.arena import aligned_bytes, place

POOL_BYTES = 4096
SHARE_BYTES = 256


def new_store(gate: Gate, idle_seconds: float = 1e6) -> TensorStore:
    """A store with a share of four tensors of 64 bytes."""
    return TensorStore(gate, SHARE_BYTES, idle_seconds)


def values(number: int) -> bytes:
    """64 bytes that are those of no other number."""
    return bytes([number]) * 64


def named(number: int, position: int = 0, *, sent: bool = False) -> NamedTensor:
    """A tensor that has `values(number)`, named by their digest."""
    spec = TensorSpec(f"t{position}", "float32", (4, 4))
    return NamedTensor(position, spec, hashlib.sha256(values(number)).digest(), sent)


async def upload(store: TensorStore, *numbers: int) -> Stored:
    """Put tensors with these values into the store in one parcel, which is held."""
    came = [named(number, n, sent=True) for n, number in enumerate(numbers)]
    return await settled(store, came, [values(number) for number in numbers])


async def settled(store: TensorStore, came: Sequence[NamedTensor], data: Sequence[bytes]) -> Stored:
    """What the store makes of tensors that came with these values."""
    specs = [each.spec for each in came]
    assert store.claim(aligned_bytes(specs))
    region = await store.reserve(aligned_bytes(specs))
    places = place(specs, region)
    for placement, content in zip(places, data, strict=True):
        placement.view()[:] = content
    return store.settle(region, came, dict(enumerate(places)))


def as_bools(tensor: NamedTensor) -> NamedTensor:
    """The same bytes as booleans."""
    return evolve(tensor, spec=TensorSpec(tensor.spec.name, "bool", (64,)))
