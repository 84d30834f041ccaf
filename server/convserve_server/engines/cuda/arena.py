"""A device's memory, handed out in blocks: what work needs from below, weights that stay above."""

from __future__ import annotations

from convserve.ranges import Ranges

from convserve_server.engines.cuda.placing import ALIGNMENT


class Block:
    """Bytes of the slab that belong to one owner, who releases them."""

    def __init__(self, slab: Slab, address: int, byte_count: int) -> None:
        self.address = address
        self.byte_count = byte_count
        self._slab: Slab | None = slab

    def release(self) -> None:
        """Give the bytes back. Idempotent."""
        if self._slab is not None:
            self._slab.give_back(self)
            self._slab = None


class Slab:
    """`byte_count` bytes of device memory from address `base` on. Used by one thread."""

    def __init__(self, base: int, byte_count: int) -> None:
        self.byte_count = byte_count // ALIGNMENT * ALIGNMENT
        self._free = Ranges()
        self._free.add(base, base + self.byte_count)

    @property
    def free_bytes(self) -> int:
        """Bytes that nobody has, in one piece or in several."""
        return self._free.byte_count

    def take(self, byte_count: int, *, lasting: bool = False) -> Block | None:
        """The lowest free piece, or the highest one for what is `lasting`; None if none is left."""
        size = -(-byte_count // ALIGNMENT) * ALIGNMENT
        if not size:
            return Block(self, 0, 0)
        for start, end in reversed(self._free) if lasting else iter(self._free):
            if end - start >= size:
                address = end - size if lasting else start
                self._free.remove(address, address + size)
                return Block(self, address, size)
        return None

    def give_back(self, block: Block) -> None:
        """Take the bytes of a block back. Only blocks call this."""
        if block.byte_count:
            self._free.add(block.address, block.address + block.byte_count)
