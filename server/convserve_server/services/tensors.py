"""Tensors by what they contain: sent once, they stay for the calls and models that name them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from attrs import define, field, frozen
from convserve.errors import OverloadedError

from convserve_server.scheduling.gate import Gate
from convserve_server.services.digests import Key, NamedTensor, missing_error
from convserve_server.services.holding import work_on
from convserve_server.workers.arena import Placement, Region, aligned_bytes, place


@define(eq=False)
class Parcel:
    """Tensors that came together, in a region of their own: they stay and go together.

    `keys` are those under which the store finds them; without any it goes with its last user.
    """

    region: Region
    keys: tuple[Key, ...]
    users: int = 0

    @property
    def byte_count(self) -> int:
        """Its share of the pool."""
        return self.region.byte_count


@frozen(eq=False)
class Stored:
    """Where tensors of a request lie, by their positions, and the parcels that they are in."""

    placements: dict[int, Placement] = field(factory=dict)
    parcels: tuple[Parcel, ...] = ()


class TensorStore:
    """The tensors that stay between calls: those of models, and whatever came with a digest.

    It owns their regions, `capacity_bytes` of the tensor pool in all. What nobody uses stays until
    its room is needed, in the store or by a call that waits at the gate, the longest unused first,
    or until it has not been used for `idle_seconds`. Used from one event loop.
    """

    def __init__(self, gate: Gate, capacity_bytes: int, idle_seconds: float) -> None:
        self.capacity_bytes = capacity_bytes
        self._gate = gate
        self._idle_seconds = idle_seconds
        self._claimed_bytes = 0
        self._places: dict[Key, tuple[Parcel, int]] = {}
        self._unused: OrderedDict[Parcel, asyncio.TimerHandle] = OrderedDict()
        gate.on_wait = self._give_way

    @property
    def claimed_bytes(self) -> int:
        """Bytes of the pool that are set aside or used for tensors that stay."""
        return self._claimed_bytes

    @property
    def unused_bytes(self) -> int:
        """Those of tensors that nobody uses now."""
        return sum(parcel.byte_count for parcel in self._unused)

    def claim(self, byte_count: int) -> bool:
        """Set bytes of the store's share aside, at the expense of what nobody uses.

        False, with nothing changed, where that does not help.
        """
        if self._claimed_bytes - self.unused_bytes + byte_count > self.capacity_bytes:
            return False
        while self._claimed_bytes + byte_count > self.capacity_bytes:
            self._remove(next(iter(self._unused)))
        self._claimed_bytes += byte_count
        return True

    def unclaim(self, byte_count: int) -> None:
        """Give back what was set aside."""
        self._claimed_bytes -= byte_count

    async def reserve(self, byte_count: int, *, wait: bool = True) -> Region:
        """A region for what was claimed, once there is room in the pool. As `Gate.reserve`.

        Who holds memory that others wait for must not `wait`: that raises OverloadedError.
        """
        if wait:
            return await self._gate.reserve(byte_count, lasting=True)
        try:
            if not self._gate.queue_depth:
                async with asyncio.timeout(0):
                    return await self._gate.reserve(byte_count, lasting=True)
        except TimeoutError:
            pass
        raise OverloadedError(
            f"there is no room for {byte_count} bytes now", metadata={"planned_bytes": byte_count}
        )

    def give_back(self, region: Region) -> None:
        """Release a region with its claim."""
        region.release()
        self.unclaim(region.byte_count)

    @contextmanager
    def use(self, named: Sequence[NamedTensor]) -> Iterator[Stored]:
        """Where those that are not sent lie; they stay until the block ends.

        Raises TensorMissingError, which names all that are not there.
        """
        wanted = [each for each in named if not each.sent]
        stored = self._find(wanted)
        missing = [each.position for each in wanted if each.position not in stored.placements]
        if missing:
            raise missing_error(missing)
        self.hold(stored.parcels)
        try:
            yield stored
        finally:
            self.drop(stored.parcels)

    def hold_known(self, named: Sequence[NamedTensor]) -> Stored:
        """Where those lie that are here already, held for the caller, who drops the parcels."""
        stored = self._find(named)
        self.hold(stored.parcels)
        return stored

    def settle(
        self, region: Region, named: Sequence[NamedTensor], placements: Mapping[int, Placement]
    ) -> Stored:
        """Own a claimed region that holds the tensors at `placements`, and know the `named` ones.

        Returns where the tensors lie from now on, held for the caller, who drops the parcels. If
        each of them has come by another call meanwhile, that is there, and the region goes back.
        """
        came = [each for each in named if each.position in placements]
        stored = self._find(came)
        if placements and len(stored.placements) == len(placements):
            self.give_back(region)
        else:
            offsets = {each.key: placements[each.position].offset for each in came}
            stored = Stored(dict(placements), (self._add(region, offsets),))
        self.hold(stored.parcels)
        return stored

    async def keep(self, named: Sequence[NamedTensor], placements: Mapping[int, Placement]) -> None:
        """Keep copies of the tensors that were sent with a digest, if there is room for them now.

        They lie in the region of their call, which goes at its end.
        """
        fresh = [each for each in named if each.sent and each.key not in self._places]
        specs = [each.spec for each in fresh]
        region = await self._reserve_now(aligned_bytes(specs)) if fresh else None
        if region is None:
            return
        copies = dict(zip((each.position for each in fresh), place(specs, region), strict=True))
        try:
            await _copy([(placements[position], copies[position]) for position in copies])
        except BaseException:
            self.give_back(region)
            raise
        self.drop(self.settle(region, fresh, copies).parcels)

    def hold(self, parcels: Iterable[Parcel]) -> None:
        """Keep parcels until they are dropped."""
        for parcel in parcels:
            parcel.users += 1
            timer = self._unused.pop(parcel, None)
            if timer is not None:
                timer.cancel()

    def drop(self, parcels: Iterable[Parcel]) -> None:
        """End one `hold`."""
        for parcel in parcels:
            parcel.users -= 1
            if parcel.users == 0:
                self._rest(parcel)
        self._give_way()

    def close(self) -> None:
        """Let everything go that nobody uses."""
        for parcel in list(self._unused):
            self._remove(parcel)

    async def _reserve_now(self, byte_count: int) -> Region | None:
        """A claimed region; None if it had to be waited for, with memory that others wait for."""
        if self._gate.queue_depth or not self.claim(byte_count):
            return None
        try:
            return await self.reserve(byte_count, wait=False)
        except OverloadedError:
            self.unclaim(byte_count)
            return None
        except BaseException:
            self.unclaim(byte_count)
            raise

    def _find(self, named: Iterable[NamedTensor]) -> Stored:
        found = {each: self._places[each.key] for each in named if each.key in self._places}
        return Stored(
            {n.position: Placement(n.spec, p.region, offset) for n, (p, offset) in found.items()},
            tuple({parcel: None for parcel, _ in found.values()}),
        )

    def _add(self, region: Region, offsets: Mapping[Key, int]) -> Parcel:
        fresh = {key: offset for key, offset in offsets.items() if key not in self._places}
        parcel = Parcel(region, tuple(fresh))
        self._places |= {key: (parcel, offset) for key, offset in fresh.items()}
        return parcel

    def _rest(self, parcel: Parcel) -> None:
        """Nobody uses it from now on; one that nobody could find goes at once."""
        if not parcel.keys:
            self._free(parcel)
            return
        loop = asyncio.get_running_loop()
        self._unused[parcel] = loop.call_later(self._idle_seconds, self._remove, parcel)

    def _give_way(self) -> None:
        """Calls wait for memory: what nobody uses goes, until they need no more."""
        while self._gate.queue_depth and self._unused:
            self._remove(next(iter(self._unused)))

    def _remove(self, parcel: Parcel) -> None:
        self._unused.pop(parcel).cancel()
        self._free(parcel)

    def _free(self, parcel: Parcel) -> None:
        for key in parcel.keys:
            del self._places[key]
        self.give_back(parcel.region)


async def _copy(pairs: Sequence[tuple[Placement, Placement]]) -> None:
    """Copy tensors in a thread."""
    views = [(source.view(), target.view()) for source, target in pairs]
    regions = {placement.region for pair in pairs for placement in pair}
    await work_on(regions, _copy_views, views)


def _copy_views(views: Iterable[tuple[memoryview, memoryview]]) -> None:
    for source, target in views:
        np.copyto(np.asarray(target), np.asarray(source))
