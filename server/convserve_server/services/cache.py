"""A cache that cannot grow without bound."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """Values by their request's bytes; the least recently used go first.

    `capacity_bytes` bounds the sum of the costs, which whoever puts a value states.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity = capacity_bytes
        self._used = 0
        self._entries: OrderedDict[bytes, tuple[Value, int]] = OrderedDict()

    def get(self, key: bytes) -> Value | None:
        """The value, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: bytes, value: Value, cost_bytes: int) -> None:
        """Keep the value, unless it is larger than the whole cache."""
        if cost_bytes > self._capacity:
            return
        if key in self._entries:
            self._used -= self._entries.pop(key)[1]
        self._entries[key] = (value, cost_bytes)
        self._used += cost_bytes
        while self._used > self._capacity:
            _, (_, cost) = self._entries.popitem(last=False)
            self._used -= cost
