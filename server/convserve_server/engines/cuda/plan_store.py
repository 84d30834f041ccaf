"""Plans of cuDNN and compiled kernels, kept in a folder that several processes read and write."""

from __future__ import annotations

import errno
import math
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec
from attrs import evolve, frozen
from convserve.errors import UnavailableError

from convserve_server.cache import ByteCache
from convserve_server.engines.cuda.graphs import ConvGraph, Prepared
from convserve_server.engines.cuda.plan_keys import BuildTarget, key_of
from convserve_server.engines.cuda.recipe import Instance

MAX_FILE_BYTES = 16 << 20
MEMORY_BYTES = 64 << 20  # of what is kept in memory, as long as it is in the files
FRESH_SECONDS = 60.0
FULL = (errno.ENOSPC, errno.EDQUOT)
_KINDS = "[0-9a-f]" * 32  # the folders of fingerprints: what else may be there is not ours
_SUM_BYTES = 32


class _Record(msgspec.Struct, frozen=True):
    """What a file holds, and until when that counts: seconds since 1970, or 0 for always."""

    key: str
    prepared: Prepared
    until: float = 0.0


@frozen
class _Kept:
    """A value in memory, and when its file was last known to be there."""

    record: _Record
    payload: bytes
    seen: float


class PlanStore:
    """A folder of at most `limit_bytes`, of which what is used is in memory too.

    What was not used for the longest goes first. Several processes and threads may use one folder:
    a file is written whole or not at all, and one that is damaged, or of another key, is removed.
    Where the disk is full the older half goes.
    """

    def __init__(
        self,
        folder: Path,
        limit_bytes: int,
        *,
        memory_bytes: int = MEMORY_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` gives seconds since 1970, for all processes that use the folder."""
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._memory: ByteCache[str, _Kept] = ByteCache(memory_bytes)
        self._unswept = limit_bytes  # bytes written since the folder was looked through

    def recall(self, key: str, max_age: float = FRESH_SECONDS) -> Prepared | None:
        """What is in memory, without a look at the folder; None also if that is due again.

        It is due where its file was not known to be there for `max_age` seconds.
        """
        kept = self._kept(key)
        if kept is None or not 0 <= self._clock() - kept.seen <= max_age:
            return None
        return kept.record.prepared

    def get(self, key: str) -> Prepared | None:
        """What is kept, in memory or in its file, which has now been used; None if there is none.

        What is in memory is written anew if its file has gone. Raises OSError.
        """
        kept = self._kept(key)
        if kept is None:
            return self._read(key)
        if not _touch(self._folder / key):
            self._write(key, kept.payload)
        self._remember(kept.record, kept.payload)
        return kept.record.prepared

    def put(self, key: str, prepared: Prepared, seconds: float = math.inf) -> None:
        """Keep something for so long, for other processes too. Raises OSError."""
        until = 0.0 if math.isinf(seconds) else self._clock() + seconds
        record = _Record(key, prepared, until)
        payload = msgspec.msgpack.encode(record)
        self._write(key, payload)
        self._remember(record, payload)

    def doubt(self) -> None:
        """Files may have gone: whatever is asked for next is looked for in the folder."""
        with self._lock:
            for key in list(self._memory):
                kept = self._memory.get(key)
                assert kept is not None
                self._memory.put(key, evolve(kept, seen=-math.inf), 2 * len(kept.payload))

    def _kept(self, key: str) -> _Kept | None:
        with self._lock:
            kept = self._memory.get(key)
        return None if kept is None or self._is_over(kept.record) else kept

    def _is_over(self, record: _Record) -> bool:
        return 0 < record.until <= self._clock()

    def _read(self, key: str) -> Prepared | None:
        path = self._folder / key
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return None
        payload = data[_SUM_BYTES:]
        record = _decode(data[:_SUM_BYTES], payload)
        if record is None or record.key != key or self._is_over(record):
            path.unlink(missing_ok=True)
            return None
        _touch(path)  # another process may have removed it
        self._remember(record, payload)
        return record.prepared

    def _remember(self, record: _Record, payload: bytes) -> None:
        kept = _Kept(record, payload, self._clock())
        with self._lock:
            self._memory.put(record.key, kept, 2 * len(payload))  # once packed, once not

    def _write(self, key: str, payload: bytes) -> None:
        data = sha256(payload).digest() + payload
        self._make_room(len(data))
        try:
            _write_whole(self._folder / key, data)
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._sweep(self.byte_count // 2)
            _write_whole(self._folder / key, data)

    def _make_room(self, byte_count: int) -> None:
        """Look through the folder after every eighth of the limit, and leave as much free."""
        slack = self._limit_bytes // 8
        with self._lock:
            self._unswept += byte_count
            if self._unswept <= slack:
                return
            self._unswept = byte_count
        self._sweep(self._limit_bytes - slack - byte_count)

    @property
    def byte_count(self) -> int:
        """Bytes of all files in the folder."""
        return sum(size for _, size, _ in self._files())

    def _sweep(self, limit_bytes: int) -> None:
        """Remove files, the least recently used first, until the others fit."""
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= limit_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """When each was last used, its size, and where it is."""
        for path in self._folder.glob(f"{_KINDS}/*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                yield status.st_mtime, status.st_size, path


class StoredPlans:
    """What a store has for a target: `Plans`, as lowering asks for them, and kernels."""

    def __init__(self, store: PlanStore, target: BuildTarget) -> None:
        self.workspace_limit_bytes = target.policy.workspace_limit_bytes
        self._store = store
        self._target = target

    def find(self, graph: ConvGraph) -> Prepared | None:
        """CuDNN's plan for a graph, or its failure; None if there is neither.

        Raises UnavailableError if the folder cannot be read.
        """
        return self._get(graph)

    def kernel(self, instance: Instance) -> Prepared | None:
        """A compiled kernel; None if it is not there. Raises UnavailableError as `find`."""
        return self._get(instance)

    def _get(self, what: ConvGraph | Instance) -> Prepared | None:
        key = key_of(what, self._target)
        try:
            return self._store.recall(key) or self._store.get(key)
        except OSError as error:
            kept = self._store.recall(key, math.inf)
            if kept is None:
                raise folder_error(error) from error
            return kept  # only that it was used now is not noted


def folder_error(error: OSError) -> UnavailableError:
    """What a caller is told who needs the folder, and it cannot be used."""
    return UnavailableError(
        f"the server cannot use the folder in which it keeps plans: {error.strerror}; whoever runs "
        "it may make room there, or name another one with --plan-folder",
        metadata={"errno": errno.errorcode.get(error.errno or 0, "")},
    )


def _touch(path: Path) -> bool:
    """Note that a file was used, where that may be noted. Whether it is there."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except OSError:  # a folder that may only be read is of use too
        return path.exists()
    return True


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file and put it in place at once."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        with suppress(FileNotFoundError):  # another process has swept it away, to make room
            os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _decode(digest: bytes, payload: bytes) -> _Record | None:
    """The record of a file; None if it is damaged."""
    if sha256(payload).digest() != digest:
        return None
    try:
        return msgspec.msgpack.decode(payload, type=_Record)
    except msgspec.MsgspecError:
        return None
