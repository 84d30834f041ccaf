import itertools
import random

import pytest
from convserve_server.engines.cpu.windows import (
    BLOCK_BYTES,
    Axis,
    block_counts,
    blocks,
    transposed_phases,
)


def random_axes(count):
    draw = random.Random(0)
    for _ in range(count):
        yield Axis(
            size=draw.randint(1, 9),
            positions=draw.randint(1, 9),
            taps=draw.randint(1, 5),
            stride=draw.randint(1, 4),
            spacing=draw.randint(1, 4),
            offset=draw.randint(-9, 9),
        )


def elements(axis, first, count):
    return [
        (first + p) * axis.stride + t * axis.spacing + axis.offset
        for p, t in itertools.product(range(count), range(axis.taps))
    ]


def test_inside_is_the_positions_whose_element_exists():
    for axis in random_axes(200):
        for tap in range(axis.taps):
            low, high = axis.inside(tap, 2, axis.positions)
            for p in range(axis.positions):
                element = (2 + p) * axis.stride + tap * axis.spacing + axis.offset
                assert (low <= p < high) == (0 <= element < axis.size)


def test_fits_is_that_every_element_exists():
    for axis in random_axes(200):
        read = elements(axis, 1, 3)
        assert axis.fits(1, 3) == all(0 <= element < axis.size for element in read)
        assert axis.extent(3) == max(read) - min(read) + 1


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("low", [0, 2])
def test_phases_are_the_pairs_of_a_transposed_convolution(kernel_size, stride, dilation, low):
    size, output_size = 4, 11
    expected = {
        (i * stride + t * dilation - low, i, t)
        for i, t in itertools.product(range(size), range(kernel_size))
        if 0 <= i * stride + t * dilation - low < output_size
    }
    found = [
        (phase.first + q * stride, q + n * phase.axis.spacing + phase.axis.offset, tap)
        for phase in transposed_phases(size, output_size, kernel_size, stride, low, dilation)
        for q, (n, tap) in itertools.product(range(phase.axis.positions), enumerate(phase.taps))
    ]
    inside = [(o, i, t) for o, i, t in found if 0 <= i < size]
    assert sorted(inside) == sorted(expected)
    assert all(0 <= output < output_size for output, _, _ in found)


@pytest.mark.parametrize("position_bytes", [1, 10_000, 40_000, 100_000, 1 << 30])
def test_blocks_are_runs_that_cover_every_position_once(position_bytes):
    positions = (3, 5, 7)
    counts = block_counts(positions, position_bytes, threads=1)
    index_of = {index: n for n, index in enumerate(itertools.product(*map(range, positions)))}
    covered = []
    for block in blocks(positions, counts):
        ranges = (range(low, low + count) for low, count in block)
        run = [index_of[index] for index in itertools.product(*ranges)]
        assert run == list(range(run[0], run[0] + len(run)))
        covered += run
    assert sorted(covered) == list(range(len(index_of)))


@pytest.mark.parametrize("threads", [1, 2, 16])
@pytest.mark.parametrize("positions", [(1, 1), (1000, 3), (7, 1 << 20), (2, 300, 300)])
def test_a_block_is_bounded(positions, threads):
    for position_bytes in (1, 576 * 8, BLOCK_BYTES, 10 * BLOCK_BYTES):
        counts = block_counts(positions, position_bytes, threads)
        size = position_bytes
        for count in counts:
            assert count >= 1
            size *= count
        assert size <= max(BLOCK_BYTES, position_bytes)


def test_every_thread_gets_a_block_of_a_large_convolution():
    positions = (1, 56, 56)
    counts = block_counts(positions, 576 * 8, threads=4)
    assert len(blocks(positions, counts)) >= 4
