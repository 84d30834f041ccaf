"""Tensors of a request that are named by what they contain, as its header tells."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from attrs import frozen
from convserve.errors import ChecksumError, InvalidArgumentError, TensorMissingError
from convserve.tensors import TensorSpec
from convserve.v1 import compute_service_pb2 as pb2

from convserve_server.services.bounds import MAX_TENSORS, check_length
from convserve_server.workers.arena import Placement

SHA256_BYTES = 32
MAX_LISTED_CHARS = 150  # of the positions that lack: a client sends all if the list is cut

# A SHA-256, the number of bytes, and whether they are booleans: those hold no bytes but 0 and 1.
Key: TypeAlias = tuple[bytes, int, bool]


@frozen
class NamedTensor:
    """A tensor of a request that is named by its digest: `position` is that among the tensors."""

    position: int
    spec: TensorSpec
    sha256: bytes
    sent: bool

    @property
    def key(self) -> Key:
        """What the store knows it by."""
        return (self.sha256, self.spec.byte_count, self.spec.dtype == "bool")


def read_named(
    messages: Sequence[pb2.TensorDigest], specs: Sequence[TensorSpec]
) -> tuple[NamedTensor, ...]:
    """What `digests` of a header name, of the tensors `specs`. Raises InvalidArgumentError."""
    check_length(messages, MAX_TENSORS, "digests", "digests")
    named: dict[int, NamedTensor] = {}
    for index, message in enumerate(messages):
        path, position = f"digests[{index}]", message.tensor
        if not 0 <= position < len(specs) or position in named:
            raise InvalidArgumentError(
                f"{position} is not the position of one of the {len(specs)} declared tensors, or "
                "has a digest already; name each once",
                field=f"{path}.tensor",
                metadata={"value": position, "limit": len(specs)},
            )
        if len(message.sha256) != SHA256_BYTES:
            raise InvalidArgumentError(
                f"{len(message.sha256)} bytes are no SHA-256, which has {SHA256_BYTES}",
                field=f"{path}.sha256",
                metadata={"value": len(message.sha256), "limit": SHA256_BYTES},
            )
        named[position] = NamedTensor(position, specs[position], message.sha256, message.sent)
    return tuple(named.values())


async def verify(named: Iterable[NamedTensor], placements: Mapping[int, Placement]) -> None:
    """Raise ChecksumError if a tensor that was sent is not what its digest says."""
    sent = [(each, placements[each.position].view()) for each in named if each.sent]
    if sent:  # in a thread: it takes 0.6 ms per MiB, and hashing lets go of the interpreter's lock
        await asyncio.to_thread(_verify, sent)


def _verify(sent: Iterable[tuple[NamedTensor, memoryview]]) -> None:
    for named, values in sent:
        found = hashlib.sha256(values)
        if found.digest() != named.sha256:
            raise ChecksumError(
                f"the SHA-256 of its values is {found.hexdigest()}, and {named.sha256.hex()} is "
                "declared: they were changed since, or damaged on the way",
                field=f"tensors[{named.spec.name!r}]",
            )


def missing_error(positions: Sequence[int]) -> TensorMissingError:
    """The error that asks for the tensors at these positions."""
    listed = _ranges(positions)
    if len(listed) > MAX_LISTED_CHARS:
        listed = listed[:MAX_LISTED_CHARS].rpartition(",")[0]
    return TensorMissingError(
        f"{len(positions)} tensors that are named by digest are not here: send them, at the "
        f"positions {listed}",
        metadata={"missing": listed, "count": len(positions)},
    )


def _ranges(positions: Iterable[int]) -> str:
    """Positions in short, such as `0-3,7`."""
    runs: list[tuple[int, int]] = []
    for position in sorted(positions):
        if runs and runs[-1][1] + 1 == position:
            runs[-1] = (runs[-1][0], position)
        else:
            runs.append((position, position))
    return ",".join(f"{a}-{b}" if a < b else f"{a}" for a, b in runs)
