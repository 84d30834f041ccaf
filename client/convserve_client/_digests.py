"""Weights named by what they contain, so that they travel once: flows without I/O.

A first attempt names them and sends none; the server tells what it lacks, and only that is sent.
Hashing takes as long as sending to a server on the same machine, and a tenth of sending through a
gigabit network. So a model's weights are hashed once, and those of `run` only from the second run
on, while they stay the same.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import TypeAlias, TypeVar

from attrs import evolve, frozen
from convserve.errors import TensorMissingError
from convserve.tensors import Array, wire_bytes

from convserve_client._flows import Flow, Pause

T = TypeVar("T")

NAMED_BYTES = 64 << 10  # a tensor below this is sent anyway
STEP_BYTES = 8 << 20  # between which others of an event loop have their turn: 5 ms
KEPT = 128
SURPRISES = 2  # a server that lacks something else twice is sent everything


@frozen
class Digest:
    """The SHA-256 of the tensor at `position`, and whether its values are sent."""

    position: int
    sha256: bytes
    sent: bool = False


Digests: TypeAlias = tuple[Digest, ...]


def is_worth_it(tensors: Mapping[str, Array], names: Collection[str]) -> bool:
    """Whether a tensor of these names is large enough to be named by its digest."""
    return any(tensors[name].nbytes >= NAMED_BYTES for name in names)


def hash_tensors(tensors: Mapping[str, Array], names: Collection[str]) -> Flow[Digests]:
    """The digests of the large ones of `tensors` that have one of these names."""
    digests = []
    for position, (name, array) in enumerate(tensors.items()):
        if name in names and array.nbytes >= NAMED_BYTES:
            sha256 = yield from _hash(wire_bytes(array))
            digests.append(Digest(position, sha256))
    return tuple(digests)


def _hash(values: memoryview) -> Flow[bytes]:
    digest = hashlib.sha256()
    for start in range(0, len(values), STEP_BYTES):
        digest.update(values[start : start + STEP_BYTES])
        yield Pause(0.0)
    return digest.digest()


def send_missing(
    digests: Digests,
    send: Callable[[Digests], Flow[T]],
    restore: Callable[[], Flow[None]] | None = None,
) -> Flow[T]:
    """What `send` returns, which is told to send what the server lacks, until it lacks nothing.

    Values that are not here cannot be sent: `restore` then brings them to the server, once.
    """
    if restore is not None:
        try:
            return (yield from send(digests))
        except TensorMissingError:
            yield from restore()
        return (yield from send(digests))
    for _ in range(SURPRISES):
        try:
            return (yield from send(digests))
        except TensorMissingError as error:
            missing = _positions(error)
            digests = tuple(
                evolve(each, sent=each.sent or missing is None or each.position in missing)
                for each in digests
            )
    return (yield from send(tuple(evolve(each, sent=True) for each in digests)))


def _positions(error: TensorMissingError) -> set[int] | None:
    """The positions that an error names; None if not all of them are listed."""
    found: set[int] = set()
    try:
        for part in error.metadata["missing"].split(","):
            first, _, last = part.partition("-")
            found.update(range(int(first), int(last or first) + 1))
        return found if len(found) == int(error.metadata["count"]) else None
    except (KeyError, ValueError):
        return None


class Repeats:
    """Which calls come again with the same weights. Any number of threads may use it."""

    def __init__(self) -> None:
        self._last: OrderedDict[Hashable, Digests | None] = OrderedDict()  # None: they change

    def digests(
        self, key: Hashable, tensors: Mapping[str, Array], names: Collection[str]
    ) -> Flow[Digests]:
        """The digests of a call's weights, if calls like it, of the same `key`, were made before.

        None of a first call, nor of calls whose weights were not the same each time.
        """
        last = self._last.get(key, ())
        digests: Digests | None = ()
        if key in self._last and last is not None:
            digests = yield from hash_tensors(tensors, names)
        if last is None or (last and last != digests):
            digests = None
        self._last.pop(key, None)  # another thread may have dropped it meanwhile
        self._last[key] = digests
        if len(self._last) > KEPT:
            self._last.popitem(last=False)
        return digests or ()
