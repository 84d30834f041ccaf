"""The arithmetic of blocks: against NumPy's direct sum, for every cut that may be chosen."""

import math

import numpy as np
import pytest
from attrs import evolve
from convserve_server.engines.cuda.lowering import blocks
from convserve_server.engines.cuda.lowering.blocks import Bank, Cut, Span, best_cut, costs, smooth

COSTS = costs()
SPANS = [
    Span((40,), (7,), (0,), (46,)),
    Span((40,), (7,), (3,), (40,)),
    Span((40,), (7,), (6,), (34,)),
    Span((40,), (7,), (-2,), (50,)),  # with some beyond both ends
    Span((9,), (9,), (8,), (1,)),
    Span((6, 5), (2, 3), (0, 1), (7, 5)),
    Span((6, 5), (9, 2), (1, 0), (6, 6)),
    Span((4, 3, 5), (2, 2, 3), (1, 1, 2), (3, 2, 3)),
]


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "costs", lambda: evolve(COSTS, shortest=1))


def long_row(array: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    row = np.zeros(sizes)
    row[tuple(slice(size) for size in array.shape)] = array
    return row.reshape(-1)


def convolved_by(cut: Cut, span: Span, x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The positions from `span.first` to `span.stop`, as the kernels compute them."""
    row, taps = long_row(x, span.sizes), long_row(v, span.sizes)
    taps = np.concatenate([taps, np.zeros(cut.length)])[: cut.length]
    made = []
    for block in range(cut.count):
        places = cut.first + block * cut.step + np.arange(cut.length)
        exists = (places >= 0) & (places < len(row))
        values = np.where(exists, row[np.clip(places, 0, len(row) - 1)], 0)
        result = np.fft.irfft(np.fft.rfft(values) * np.fft.rfft(taps), cut.length)
        lead = span.first - cut.first
        made.append(result[lead : lead + cut.step])
    return np.concatenate(made)[: span.stop - span.first]


def full(x: np.ndarray, v: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    result = np.zeros(sizes)
    for tap in np.ndindex(*v.shape):
        place = tuple(slice(t, t + n) for t, n in zip(tap, x.shape, strict=True))
        result[place] += v[tap] * x
    return result


@pytest.mark.parametrize("span", SPANS, ids=str)
def test_every_cut_gives_the_convolution(span: Span) -> None:
    rng = np.random.default_rng(5)
    x, v = rng.normal(size=span.long), rng.normal(size=span.short)
    expected = full(x, v, span.sizes).reshape(-1)[span.first : span.stop]
    cuts = list(blocks._cuts(span))
    assert len(cuts) > (len(span.long) == 1 and span.long > span.short)
    for cut in cuts:
        np.testing.assert_allclose(convolved_by(cut, span, x, v), expected, atol=1e-12)


@pytest.mark.parametrize("span", SPANS, ids=str)
def test_what_is_wanted_lies_between_first_and_stop(span: Span) -> None:
    places = np.arange(math.prod(span.sizes)).reshape(span.sizes)
    axes = zip(span.start, span.wanted, span.sizes, strict=True)
    inside = places[tuple(slice(max(0, a), min(n, a + count)) for a, count, n in axes)]
    assert (inside.min(), inside.max() + 1) == (span.first, span.stop)
    assert span.is_inside == (inside.shape == span.wanted)


@pytest.mark.parametrize("length", [1, 2, 3, 97, 1000, 1025, 8193, 1000003])
def test_lengths_are_smooth(length: int) -> None:
    found = smooth(length)
    rest = found
    for prime in (2, 3, 5, 7):
        while rest % prime == 0:
            rest //= prime
    assert rest == 1
    assert found % 2 == 0
    assert length <= found <= 1 + length * 1.13


def test_long_signals_are_cut_and_equal_ones_are_not() -> None:
    long = Bank(Span((1 << 20,), (450,), (0,), ((1 << 20) + 449,)), "float32")
    assert best_cut(long) == Cut(136, 8192, 8192 - 449, -449)
    equal = Bank(Span((1000,), (1000,), (0,), (1999,)), "float32")
    assert best_cut(equal) == Cut(1, smooth(1999), 1999, 0)


def test_no_cut_where_all_are_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "costs", lambda: evolve(COSTS, longest=64))
    bank = Bank(Span((70,), (65,), (0,), (134,)), "float32")
    assert best_cut(bank) is None


def test_groups_have_no_more_bytes_than_they_may() -> None:
    span = Span((1 << 22,), (99,), (0,), (1 << 22,))
    for images, count in ((1, 64), (1, 4096), (500, 2), (3, 1)):
        bank, cut = Bank(span, "float32", images, 2, 3, 2), Cut(count, 1 << 15, 1 << 14, 0)
        together, rows = bank.group(cut)
        assert together * rows * 3 * bank.row_bytes(cut.length) <= COSTS.group_bytes
        assert together == 1 or rows == count
        assert bank.group_count(cut) == -(-images // together) * -(-count // rows)


def test_a_longer_transform_costs_more_passes() -> None:
    assert [COSTS.passes(1 << power) for power in (10, 13, 14, 24, 25)] == [1, 1, 2, 2, 3]
