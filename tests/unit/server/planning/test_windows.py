"""Window arithmetic against windows that are counted one by one."""

from __future__ import annotations

from convserve_server.planning.windows import Window, same_total, split
from hypothesis import assume, given, settings
from hypothesis import strategies as st

small = st.integers(1, 12)
padding = st.integers(0, 6)
windows = st.builds(Window, st.integers(1, 30), small, small, st.integers(1, 4), padding, padding)
exact = settings(derandomize=True, deadline=None, max_examples=300)


def starts(window: Window) -> list[int]:
    """Every place in the padded axis where a whole window fits."""
    padded = window.low + window.length + window.high
    return [i for i in range(0, padded, window.stride) if i + window.span <= padded]


@exact
@given(windows)
def test_count_is_the_number_of_windows_that_fit(window):
    assert window.count == len(starts(window))
    assert window.fits == bool(starts(window))


@exact
@given(windows)
def test_ceil_count_covers_the_end_with_windows_that_start_inside(window):
    assume(window.fits and max(window.low, window.high) <= window.kernel_size // 2)
    inside = window.low + window.length
    covering = [0]
    while covering[-1] + window.span < inside + window.high:
        covering.append(covering[-1] + window.stride)
    assert window.ceil_count == sum(start < inside for start in covering)


@exact
@given(windows)
def test_same_padding_gives_ceil_of_length_by_stride(window):
    total = same_total(window.length, window.span, window.stride)
    for more_low in (False, True):
        low, high = split(total, more_low=more_low)
        padded = Window(
            window.length, window.kernel_size, window.stride, window.dilation, low, high
        )
        assert padded.count == -(-window.length // window.stride)
        assert (low - high) in ((0, 1) if more_low else (0, -1))


@exact
@given(windows)
def test_same_padding_is_the_least(window):
    total = same_total(window.length, window.span, window.stride)
    assume(total > 0)
    less = Window(window.length, window.kernel_size, window.stride, window.dilation, 0, total - 1)
    assert less.count < -(-window.length // window.stride)


@exact
@given(windows)
def test_transposed_length_is_the_least_length_that_gives_the_windows(window):
    result = window.transposed_length
    assume(result >= 1)
    back = Window(
        result, window.kernel_size, window.stride, window.dilation, window.low, window.high
    )
    assert back.count == window.length


def test_sizes_beyond_64_bits_are_exact():
    assert Window(2**62, 2**31 - 1, 2**31 - 1, 2**31 - 1).count == 4
    assert Window(2**70, 3).count == 2**70 - 2
