"""A cache that is bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ByteCache(Generic[K, V]):
    """The most recently used values whose bytes, as told, fit `limit_bytes` together."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.byte_count = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def get(self, key: K) -> V | None:
        """The value, which is now the most recently used; None if it is not there."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, byte_count: int) -> None:
        """Keep `value`, and let the least recently used go. What cannot fit alone is not kept."""
        self._remove(key)
        if byte_count > self.limit_bytes:
            return
        while self.byte_count + byte_count > self.limit_bytes:
            self._remove(next(iter(self._entries)))
        self._entries[key] = (value, byte_count)
        self.byte_count += byte_count

    def drop(self, unwanted: Callable[[K], bool]) -> None:
        """Let every value go whose key is `unwanted`."""
        for key in [key for key in self._entries if unwanted(key)]:
            self._remove(key)

    def _remove(self, key: K) -> None:
        self.byte_count -= self._entries.pop(key, (None, 0))[1]
