"""What was computed on the device is judged as on the other engines."""

import numpy as np
import pytest
from convserve.errors import InvalidArgumentError
from convserve_server.engines.cuda.checks import (
    FINITE,
    INDEX_RANGE,
    INTEGER_BOUND,
    NotFiniteError,
    judge,
)
from convserve_server.engines.cuda.recipe import Check
from convserve_server.engines.integers import check_integer_bound


def outcome(work):
    """What it raises, or None."""
    try:
        work()
    except InvalidArgumentError as error:
        return str(error), error.field, error.metadata
    return None


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("bias", [None, np.array([-7, 3], np.int64)])
@pytest.mark.parametrize("scale", [1, 1 << 12, 1 << 26, 1 << 40, 1 << 60])
def test_integers_are_judged_by_the_numbers_of_the_device(scale, bias, dtype):
    rng = np.random.default_rng(scale)
    x = rng.integers(-scale, scale, (2, 3, 4), np.int64, endpoint=True)
    weight = rng.integers(-scale, scale, (5, 3, 2), np.int64, endpoint=True)
    sums = np.abs(weight).astype(np.float64).sum(axis=(1, 2))
    values = [np.array([x.min(), x.max()]), sums]
    values += [] if bias is None else [bias]
    check = Check(INTEGER_BOUND, (), dtype, "conv")

    def by_arrays():
        check_integer_bound(x, weight, bias, dtype, summed_axes=(1, 2), field="conv")

    assert outcome(lambda: judge(check, values)) == outcome(by_arrays)


def test_the_least_integer_counts_in_full():
    check = Check(INTEGER_BOUND, (), "int32", "conv")
    judge(check, [np.array([-(2**31) + 1]), np.ones(1)])
    with pytest.raises(InvalidArgumentError, match="can reach 2147483648"):
        judge(check, [np.array([-(2**31)], np.int32), np.ones(1)])


def test_nothing_is_within_every_bound():
    empty = np.zeros(0, np.int64)
    judge(Check(INTEGER_BOUND, (), "int32", "conv"), [empty, np.zeros(0), empty])


def test_indices_must_be_of_places():
    check = Check(INDEX_RANGE, (), "int64", "unpool", limit=6)
    judge(check, [np.array([0, 5])])
    with pytest.raises(InvalidArgumentError, match="unpool reads the index 6"):
        judge(check, [np.array([0, 6])])


@pytest.mark.parametrize(
    ("first", "second", "is_finite"),
    [
        ([3.0, 1e9], [1e9], True),
        ([3.0, np.nan], [1e9], False),
        ([1.0], [0.0, np.inf], False),
        ([np.inf], [0.0], False),
        ([1e19], [3e19], True),
        ([1e19], [4e19], False),
        ([], [1.0], True),
    ],
)
def test_what_is_not_finite_or_would_not_be_is_told_of(first, second, is_finite):
    check = Check(FINITE, (), "float32", "", limit=1)
    values = [np.array(first), np.array(second)]
    if is_finite:
        judge(check, values)
    else:
        with pytest.raises(NotFiniteError):
            judge(check, values)
