import numpy as np
import pytest
from convserve.errors import InvalidArgumentError
from convserve_server.engines.integers import check_integer_bound

INT32, INT64 = 2**31 - 1, 2**63 - 1


def bound(x, weight, bias=None, dtype="int64", summed_axes=(1,)):
    return check_integer_bound(
        np.asarray(x), np.asarray(weight), bias, dtype, summed_axes=summed_axes, field="here"
    )


def test_the_bound_is_the_largest_output_channel_and_not_the_sum_of_all():
    weight = np.array([[1, -2], [3, 4]], np.int8)
    assert bound(np.array([-5, 2], np.int8), weight, np.array([-7], np.int8)) == 5 * 7 + 7


def test_the_lowest_integers_have_no_absolute_value_of_their_type():
    lowest = np.array([[-128]], np.int8)
    assert bound(lowest, lowest, lowest[0]) == 128 * 128 + 128


@pytest.mark.parametrize(("dtype", "limit"), [("int32", INT32), ("int64", INT64)])
def test_the_limit_is_the_largest_of_the_type(dtype, limit):
    assert bound(np.array([limit]), [[1]], dtype=dtype) == limit
    with pytest.raises(InvalidArgumentError) as caught:
        bound(np.array([limit]), [[1]], np.array([1]), dtype=dtype)
    assert caught.value.field == "here"
    assert str(limit) in caught.value.message
    assert str(limit + 1) in caught.value.message
    assert "float64" in caught.value.message
    assert caught.value.metadata == {
        "bound": str(limit + 1), "limit": str(limit), "dtype": dtype,
    }  # fmt: skip


def test_int32_is_told_of_int64_and_int64_is_not():
    for dtype, told in (("int32", True), ("int64", False)):
        with pytest.raises(InvalidArgumentError) as caught:
            bound(np.array([2**62]), [[4]], dtype=dtype)
        assert ("to int64" in caught.value.message) is told


def test_unsigned_values_above_int64_are_counted_as_they_are():
    with pytest.raises(InvalidArgumentError):
        bound(np.array([2**64 - 1], np.uint64), [[1]])
    assert bound(np.array([2**64 - 1], np.uint64), [[0]]) == 0


def test_large_sums_are_never_counted_too_small():
    weight = np.full((1, 1000), 2**53 // 999 + 1)
    exact = 1000 * int(weight[0, 0])
    assert exact <= bound(np.array([1]), weight) <= exact * (1 + 1e-6)


def test_bools_and_empty_arrays():
    assert bound(np.array([True]), np.ones((2, 5), bool), dtype="int32") == 5
    assert bound(np.zeros((0, 3), np.int8), np.ones((2, 5), np.int8)) == 0
    assert bound(np.array([3]), np.ones((2, 0), np.int8)) == 0
