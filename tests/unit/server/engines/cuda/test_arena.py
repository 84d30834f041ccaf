"""The slab: low and high pieces, exact counts, and nothing lost."""

import itertools

import numpy as np
from convserve_server.engines.cuda.arena import Slab

BASE = 1 << 20


def test_work_is_taken_from_below_and_weights_from_above():
    slab = Slab(BASE, 4096)
    low, high = slab.take(300), slab.take(300, lasting=True)
    assert (low.address, low.byte_count) == (BASE, 512)
    assert (high.address, high.byte_count) == (BASE + 4096 - 512, 512)
    assert slab.free_bytes == 4096 - 1024


def test_there_is_no_room_where_no_piece_is_long_enough():
    slab = Slab(BASE, 1024)
    first, second, third = slab.take(256), slab.take(256), slab.take(512)
    assert third.address == BASE + 512
    assert slab.take(1) is None
    first.release()
    third.release()
    assert slab.take(600) is None  # 768 are free, in two pieces
    second.release()
    assert slab.take(1024).address == BASE


def test_a_block_is_given_back_once():
    slab = Slab(BASE, 1024)
    block = slab.take(512)
    block.release()
    taken = slab.take(1024)
    block.release()
    assert slab.free_bytes == 0
    taken.release()
    assert slab.free_bytes == 1024


def test_nothing_takes_nothing():
    slab = Slab(BASE, 256)
    full = slab.take(256)
    nothing = slab.take(0)
    nothing.release()
    full.release()
    assert slab.free_bytes == 256


def test_blocks_never_overlap_and_all_comes_back():
    rng = np.random.default_rng(3)
    slab, held = Slab(BASE, 1 << 16), []
    for _ in range(2000):
        if held and rng.random() < 0.5:
            held.pop(int(rng.integers(len(held)))).release()
        elif block := slab.take(int(rng.integers(1, 6000)), lasting=bool(rng.integers(2))):
            held.append(block)
        spans = sorted((block.address, block.address + block.byte_count) for block in held)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
        assert slab.free_bytes == (1 << 16) - sum(block.byte_count for block in held)
    for block in held:
        block.release()
    assert slab.take(1 << 16).address == BASE
