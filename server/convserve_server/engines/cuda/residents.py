"""Weights that stay on the device between calls, in the form in which commands read them."""

from __future__ import annotations

from collections import OrderedDict

from convserve_server.engines.cuda.arena import Block
from convserve_server.engines.cuda.device import Mark
from convserve_server.engines.cuda.loading import Loaded


class Resident:
    """A recipe's prepared weights. Their memory is freed when nothing reads nor keeps them."""

    def __init__(self, loaded: Loaded, block: Block) -> None:
        self.address = block.address
        self._loaded = loaded
        self._block = block
        self._uses = 0
        self._is_kept = False
        self._ready: Mark | None = None

    def suits(self, loaded: Loaded) -> bool:
        """Whether a recipe would make these very bytes of the same weights."""
        own, other = self._loaded, loaded
        return own is other or (
            own.recipe.weights == other.recipe.weights
            and own.recipe.preparation == other.recipe.preparation
            and own.lasting_offsets == other.lasting_offsets
        )

    @property
    def byte_count(self) -> int:
        """The bytes that they take."""
        return self._block.byte_count

    def acquire(self) -> None:
        """Have them stay until `release`; waits until they are there."""
        self._uses += 1
        if self._ready is not None:
            self._ready.wait()
            self._ready = None

    def release(self) -> None:
        """End one use."""
        self._uses -= 1
        self._let_go()

    def keep(self, ready: Mark) -> None:
        """Have them stay until `drop`. `ready` is the point behind their preparation."""
        self._is_kept = True
        self._ready = ready

    def drop(self) -> None:
        """End what `keep` began."""
        self._is_kept = False
        self._let_go()

    def _let_go(self) -> None:
        if not self._uses and not self._is_kept:
            self._block.release()


class Residents:
    """What is kept by key: what recipes of a key prepare alike they share.

    It is bounded by the device's memory: whoever needs room evicts.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], Resident] = OrderedDict()  # least recent first
        self._number = 0

    def find(self, key: str, loaded: Loaded) -> Resident | None:
        """The weights of a key as a recipe prepares them; they are now the last used."""
        for place, resident in self._kept.items():
            if place[0] == key and resident.suits(loaded):
                self._kept.move_to_end(place)
                return resident
        return None

    def add(self, key: str, resident: Resident, ready: Mark) -> None:
        """Keep prepared weights, until they are forgotten or evicted."""
        resident.keep(ready)
        self._number += 1
        self._kept[key, self._number] = resident

    def evict(self) -> bool:
        """Free the weights that were not used for the longest; False if there are none."""
        if not self._kept:
            return False
        _, resident = self._kept.popitem(last=False)
        resident.drop()
        return True

    def forget(self, key: str) -> None:
        """Free what is kept for a key, each as soon as nothing reads it."""
        for place in [place for place in self._kept if place[0] == key]:
            self._kept.pop(place).drop()
