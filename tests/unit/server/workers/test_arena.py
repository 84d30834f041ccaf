import fcntl
import mmap
import os
from itertools import pairwise

import pytest
from convserve.tensors import ALIGNMENT, TensorSpec
from convserve_server.workers.arena import Arena, NoRoomError, aligned_bytes, place
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

PAGE = mmap.PAGESIZE


@pytest.fixture
def arena():
    arena = Arena(16 * PAGE, warm_bytes=4 * PAGE)
    yield arena
    arena.close()


def resident_bytes(arena):
    return os.fstat(arena.fd).st_blocks * 512


def test_regions_are_aligned_and_lie_side_by_side(arena):
    regions = [arena.allocate(count) for count in (1, 64, 65, 0)]
    assert [region.offset for region in regions] == [0, 64, 128, 256]
    assert arena.bytes_in_use == 320


def test_freed_neighbours_become_one_piece(arena):
    first, second, third = (arena.allocate(5 * PAGE) for _ in range(3))
    arena.allocate(PAGE)
    first.release()
    third.release()
    with pytest.raises(NoRoomError, match=f"{10 * PAGE} of {16 * PAGE} bytes are free in all"):
        arena.allocate(6 * PAGE)
    second.release()
    assert arena.allocate(15 * PAGE).offset == 0


def test_a_lasting_region_lies_at_the_far_end(arena):
    lasting = arena.allocate(PAGE, lasting=True)
    assert lasting.offset == 15 * PAGE
    assert arena.allocate(PAGE, lasting=True).offset == 14 * PAGE


def test_releasing_twice_frees_once(arena):
    freed = []
    region = arena.allocate(PAGE, on_free=lambda: freed.append(arena.bytes_in_use))
    region.release()
    region.release()
    assert freed == [0]


def test_a_held_region_is_freed_by_its_last_holder(arena):
    region = arena.allocate(PAGE)
    region.hold()
    with region:
        pass
    assert arena.bytes_in_use == PAGE
    assert not region.is_free
    region.drop()
    assert arena.bytes_in_use == 0
    with pytest.raises(ValueError, match="4096 bytes are free"):
        region.hold()


def test_a_view_stays_in_its_region(arena):
    arena.allocate(64)
    region = arena.allocate(100)
    region.view(10, 3)[:] = b"abc"
    assert bytes(region.view()[8:15]) == b"\0\0abc\0\0"
    for offset, length in [(-1, 2), (0, 101), (100, 1), (5, -1)]:
        with pytest.raises(ValueError, match="not in memory of 100 bytes"):
            region.view(offset, length)
    region.release()
    with pytest.raises(ValueError, match="that is free"):
        region.view()


def test_placements_follow_each_other(arena):
    specs = (
        TensorSpec("a", "int8", (65,)),
        TensorSpec("b", "int8", (0, 3)),
        TensorSpec("c", "float64", (2,)),
    )
    arena.allocate(64)
    region = arena.allocate(aligned_bytes(specs))
    placements = place(specs, region)
    assert [p.offset for p in placements] == [0, 128, 192]
    assert [p.address for p in placements] == [64, 192, 256]
    assert [len(p.view()) for p in placements] == [65, 0, 16]
    assert region.byte_count == 256


def test_freed_pages_beyond_the_warm_bytes_go_back_to_the_system(arena):
    low, high = arena.allocate(8 * PAGE), arena.allocate(8 * PAGE)
    for region in (low, high):
        region.view()[:] = b"\1" * (8 * PAGE)
    low.release()
    assert (arena.excess_bytes, resident_bytes(arena)) == (4 * PAGE, 16 * PAGE)
    high.release()
    assert arena.shrink(limit_bytes=5 * PAGE) == 5 * PAGE
    assert resident_bytes(arena) == 11 * PAGE
    while arena.shrink():
        pass
    assert (arena.excess_bytes, resident_bytes(arena)) == (0, 4 * PAGE)
    assert bytes(arena.allocate(8 * PAGE).view()) == b"\1" * (4 * PAGE) + bytes(4 * PAGE)


def test_pages_in_use_are_never_given_back():
    arena = Arena(4 * PAGE, warm_bytes=0)
    first, kept, last = (arena.allocate(count) for count in (PAGE + 64, 64, 2 * PAGE))
    kept.view()[:] = b"k" * 64
    first.release()
    last.release()
    while arena.shrink():
        pass
    assert bytes(kept.view()) == b"k" * 64
    assert resident_bytes(arena) == PAGE
    arena.close()


def test_the_memory_is_sealed(arena):
    seals = fcntl.fcntl(arena.fd, fcntl.F_GET_SEALS)
    assert seals & fcntl.F_SEAL_SHRINK
    assert seals & fcntl.F_SEAL_GROW
    with pytest.raises(PermissionError):
        os.ftruncate(arena.fd, PAGE)


def test_closing_twice_and_with_views_about(arena):
    view = arena.allocate(64).view()
    arena.close()
    arena.close()
    assert bytes(view) == bytes(64)
    assert arena.shrink() == 0


class Allocations(RuleBasedStateMachine):
    """Regions never overlap, and all bytes come back."""

    regions = Bundle("regions")

    def __init__(self):
        super().__init__()
        self.arena = Arena(4 * PAGE, warm_bytes=PAGE)
        self.live = set()

    @rule(target=regions, count=st.integers(0, 2 * PAGE), lasting=st.booleans())
    def allocate(self, count, lasting):
        try:
            region = self.arena.allocate(count, lasting=lasting)
        except NoRoomError:
            return None
        self.live.add(region)
        return region

    @rule(region=consumes(regions))
    def release(self, region):
        if region is not None:
            region.release()
            self.live.discard(region)

    @rule()
    def shrink(self):
        self.arena.shrink()

    @invariant()
    def no_two_regions_share_a_byte(self):
        spans = sorted((r.offset, r.offset + max(r.byte_count, 1)) for r in self.live)
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
        assert all(start % ALIGNMENT == 0 and end <= 4 * PAGE for start, end in spans)

    @invariant()
    def every_byte_is_free_or_in_use(self):
        sizes = [-(-max(r.byte_count, 1) // ALIGNMENT) * ALIGNMENT for r in self.live]
        assert self.arena.bytes_in_use == sum(sizes)

    def teardown(self):
        for region in self.live:
            region.release()
        assert self.arena.allocate(4 * PAGE).offset == 0
        self.arena.close()


TestAllocations = Allocations.TestCase
TestAllocations.settings = settings(max_examples=50, deadline=None)


def test_a_flag_belongs_to_one_job_until_it_is_given_back():
    arena = Arena(4096)
    flags = [arena.take_flag() for _ in range(100)]
    assert len(set(flags)) == 100
    assert min(flags) >= arena.capacity_bytes
    arena.raise_flag(flags[0])
    assert [arena.view(flag, 1)[0] for flag in flags] == [1] + [0] * 99
    arena.give_flag(flags[0])
    again = arena.take_flag()
    assert again == flags[0]
    assert arena.view(again, 1)[0] == 0
    arena.close()
