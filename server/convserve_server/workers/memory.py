"""Sealed memory that processes share, and who may use it for how long."""

from __future__ import annotations

import fcntl
import os
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


def sealed_memory(name: str, byte_count: int) -> int:
    """The descriptor of new memory that can neither shrink nor grow, and whose seals are final.

    It has no file, so nothing is left behind after a kill. `name` is seen in /proc only.
    """
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, byte_count)
        seals = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(fd)
        raise
    return fd


class Owned(ABC):
    """Memory that belongs to one owner, who releases it.

    It is free once the owner has released it and nobody holds it: `hold` and `drop` are for those
    who give the bytes to another process and cannot take them back at will.
    """

    offset = 0  # where it begins in the mapping that workers see it in
    segment = 0  # which mapping that is: 0 is the arena's

    def __init__(self, byte_count: int) -> None:
        self.byte_count = byte_count
        self._holders = 1  # the owner
        self._released = False

    @property
    def is_free(self) -> bool:
        """Whether the memory has gone back."""
        return self._holders == 0

    @abstractmethod
    def view(self, offset: int = 0, length: int | None = None) -> memoryview:
        """`length` writable bytes from `offset` on, counted from the start.

        Not to be touched once the memory is free. Raises ValueError outside.
        """

    @abstractmethod
    def _free(self) -> None:
        """Give the memory back."""

    def hold(self) -> None:
        """Keep the memory from being freed until `drop`."""
        if self.is_free:
            raise ValueError(f"the {self.byte_count} bytes are free: nothing is left to hold")
        self._holders += 1

    def drop(self) -> None:
        """End one `hold`."""
        self._holders -= 1
        if self._holders == 0:
            self._free()

    def release(self) -> None:
        """Give the memory back, at once or when its last holder drops it. Idempotent."""
        if not self._released:
            self._released = True
            self.drop()

    def _check_inside(self, offset: int, length: int) -> None:
        if self.is_free or offset < 0 or length < 0 or offset + length > self.byte_count:
            raise ValueError(
                f"bytes {offset} to {offset + length} are not in memory of {self.byte_count} "
                f"bytes{' that is free' if self.is_free else ''}"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
