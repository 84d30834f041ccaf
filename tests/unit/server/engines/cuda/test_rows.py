"""Views as three axes, and the launches of a reduction over the middle one."""

import pytest
from convserve_server.engines.cuda.lowering.rows import as_rows, passes
from convserve_server.engines.cuda.views import View, new_view

LAST = new_view("x", "float32", (2, 6, 4, 5), last=True)


def test_axes_that_lie_one_in_the_other_are_one() -> None:
    assert as_rows(LAST, (0,), (2, 3), (1,)) == View("x", "float32", (2, 20, 6), (120, 6, 1))
    assert as_rows(LAST, (0, 2), (3,), (1,)) == View("x", "float32", (8, 5, 6), (30, 6, 1))
    assert as_rows(LAST, (0, 2, 3), (1,), ()) == View("x", "float32", (40, 6, 1), (6, 1, 0))


def test_axes_in_another_order_are_not() -> None:
    assert as_rows(LAST, (0,), (3, 2), (1,)) is None
    assert as_rows(LAST, (0,), (1, 2, 3), ()) is None
    assert as_rows(LAST.sliced(3, 0, 4), (0,), (2, 3), (1,)) is None


def test_some_channels_are_rows_and_so_are_axes_of_one_element() -> None:
    part = LAST.sliced(1, 2, 3).sliced(2, 1, 1)
    assert as_rows(part, (0,), (2, 3), (1,)) == View("x", "float32", (2, 5, 3), (120, 6, 1), 32)


def test_nothing_is_rows_in_any_order() -> None:
    empty = new_view("x", "float32", (0, 6, 4, 5))
    rows = as_rows(empty, (0, 2), (3,), (1,))
    assert rows is not None
    assert rows.shape == (0, 5, 6)


@pytest.mark.parametrize(
    ("shape", "parts"),
    [
        ((2, 256, 3), [1]),
        ((1, 4096, 1), [64, 1]),
        ((1, 10**8, 1), [1 << 17, 1 << 11, 32, 1]),
        ((32, 3136, 2048), [2, 1]),  # threads enough with two parts each
        ((64, 3136, 2048), [1]),
        ((0, 5000, 3), [78, 1]),
    ],
)
def test_launches_end_with_one_part(shape: tuple[int, int, int], parts: list[int]) -> None:
    shapes = list(passes(new_view("x", "float32", shape)))
    assert shapes == [(shape[0], count, shape[2]) for count in parts]
