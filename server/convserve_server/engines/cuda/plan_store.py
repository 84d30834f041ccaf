"""Plans of cuDNN and compiled kernels, kept in a folder that several processes read and write."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, lru_cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
from attrs import frozen

from convserve_server.cache import ByteCache
from convserve_server.engines.cuda.graphs import ConvGraph, Prepared
from convserve_server.engines.cuda.kernels import headers, source_of
from convserve_server.engines.cuda.recipe import Instance
from convserve_server.planning.devices.properties import DeviceProperties
from convserve_server.planning.kernels import Policy

FORMAT = 1  # of the files
MAX_FILE_BYTES = 16 << 20
MEMORY_BYTES = 64 << 20  # of what is kept in memory, as long as it is in the files
FRESH_SECONDS = 60.0
MAX_DEVICES = 32  # whose fingerprints are kept
MAX_KEYS = 1 << 14  # that are kept
_SUM_BYTES = 32
_PACKAGES = ("nvidia-cudnn-cu13", "nvidia-cudnn-frontend", "nvidia-cuda-nvrtc")
_PLACES = ("cudaDeviceId", "pciDeviceId")  # properties of a GPU's place, and not of its kind


@frozen
class Target:
    """What plans and kernels are made for: a kind of GPU, and what cuDNN may do there."""

    properties: DeviceProperties
    policy: Policy

    @property
    def architecture(self) -> str:
        """What kernels are compiled for: `sm_90`."""
        return f"sm_{json.loads(self.properties.text)['smVersion'] // 10}"


@lru_cache(MAX_DEVICES)
def fingerprint_of(properties: DeviceProperties) -> str:
    """A name for GPUs of one kind, wherever they are plugged in."""
    values = json.loads(properties.text)
    kind = {name: value for name, value in values.items() if name not in _PLACES}
    said = (properties.for_cudnn, properties.measured, json.dumps(kind, sort_keys=True))
    return _digest(said)[:32]


@lru_cache(MAX_KEYS)
def key_of(what: ConvGraph | Instance, target: Target) -> str:
    """Where something is kept: `<fingerprint>/<digest>`, anew for whatever might change it."""
    fingerprint = fingerprint_of(target.properties)
    if isinstance(what, Instance):
        source = (source_of(what), _headers_digest(), target.architecture)
        said: tuple[object, ...] = ("kernel", what, source)
    else:
        said = ("plan", what, target.policy)
    return f"{fingerprint}/{_digest((FORMAT, fingerprint, _versions(), *said))}"


class _Record(msgspec.Struct, frozen=True):
    """What a file holds."""

    key: str
    prepared: Prepared


@frozen
class _Kept:
    """A value in memory, and when its file was last known to be there."""

    prepared: Prepared
    payload: bytes
    seen: float


class PlanStore:
    """A folder of at most `limit_bytes`, of which what is used is in memory too.

    What was not used for the longest goes first. Several processes and threads may use one folder:
    a file is written whole or not at all, and one that is damaged, or of others, is removed.
    """

    def __init__(
        self,
        folder: Path,
        limit_bytes: int,
        *,
        memory_bytes: int = MEMORY_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._memory: ByteCache[str, _Kept] = ByteCache(memory_bytes)
        self._unswept = limit_bytes  # bytes written since the folder was looked through

    def recall(self, key: str) -> Prepared | None:
        """What is in memory, without a look at the folder; None also if that is due again."""
        with self._lock:
            kept = self._memory.get(key)
        if kept is None or self._clock() - kept.seen > FRESH_SECONDS:
            return None
        return kept.prepared

    def get(self, key: str) -> Prepared | None:
        """What is kept, in memory or in its file, which has now been used; None if there is none.

        What is in memory is written anew if its file has gone. Raises OSError.
        """
        with self._lock:
            kept = self._memory.get(key)
        if kept is None:
            return self._read(key)
        try:
            os.utime(self._folder / key)
        except FileNotFoundError:
            self._write(key, kept.payload)
        self._remember(key, kept.prepared, kept.payload)
        return kept.prepared

    def put(self, key: str, prepared: Prepared) -> None:
        """Keep something, for other processes too. Raises OSError."""
        payload = msgspec.msgpack.encode(_Record(key, prepared))
        self._write(key, payload)
        self._remember(key, prepared, payload)

    def _read(self, key: str) -> Prepared | None:
        path = self._folder / key
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return None
        payload = data[_SUM_BYTES:]
        record = _decode(data[:_SUM_BYTES], payload)
        if record is None or record.key != key:
            path.unlink(missing_ok=True)
            return None
        with suppress(FileNotFoundError):  # another process may have removed it
            os.utime(path)
        self._remember(key, record.prepared, payload)
        return record.prepared

    def _remember(self, key: str, prepared: Prepared, payload: bytes) -> None:
        kept = _Kept(prepared, payload, self._clock())
        with self._lock:
            self._memory.put(key, kept, 2 * len(payload))  # once packed, once not

    def _write(self, key: str, payload: bytes) -> None:
        """Write a file and put it in place at once."""
        self._make_room(_SUM_BYTES + len(payload))
        path = self._folder / key
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(sha256(payload).digest() + payload)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _make_room(self, byte_count: int) -> None:
        """Look through the folder after every eighth of the limit, and leave as much free."""
        slack = self._limit_bytes // 8
        with self._lock:
            self._unswept += byte_count
            if self._unswept <= slack:
                return
            self._unswept = byte_count
        self._sweep(self._limit_bytes - slack - byte_count)

    def _sweep(self, limit_bytes: int) -> None:
        """Remove files, the least recently used first, until the others fit."""
        used: list[tuple[float, int, Path]] = []
        for path in self._folder.glob("*/*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                used.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in used)
        for _, size, path in sorted(used):
            if total <= limit_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size


class StoredPlans:
    """What a store has for a target: `Plans`, as lowering asks for them, and kernels."""

    def __init__(self, store: PlanStore, target: Target) -> None:
        self.workspace_limit_bytes = target.policy.workspace_limit_bytes
        self._store = store
        self._target = target

    def find(self, graph: ConvGraph) -> Prepared | None:
        """CuDNN's plan for a graph, or its failure; None if there is neither. Raises OSError."""
        return self._get(graph)

    def kernel(self, instance: Instance) -> Prepared | None:
        """A compiled kernel; None if it is not there. Raises OSError."""
        return self._get(instance)

    def _get(self, what: ConvGraph | Instance) -> Prepared | None:
        key = key_of(what, self._target)
        return self._store.recall(key) or self._store.get(key)


def _decode(digest: bytes, payload: bytes) -> _Record | None:
    """The record of a file; None if it is damaged."""
    if sha256(payload).digest() != digest:
        return None
    try:
        return msgspec.msgpack.decode(payload, type=_Record)
    except msgspec.MsgspecError:
        return None


def _digest(said: object) -> str:
    return sha256(msgspec.msgpack.encode(said)).hexdigest()


@cache
def _headers_digest() -> str:
    return _digest(headers())


@cache
def _versions() -> tuple[str, ...]:
    """The versions of what plans and compiles, as they are installed."""
    return tuple(map(_version, _PACKAGES))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
