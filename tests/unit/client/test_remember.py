import numpy as np
import pytest
from convserve_client._remember import KEPT, remembered


@pytest.fixture
def made():
    """What was made, in order."""
    return []


@pytest.fixture
def make(made):
    @remembered
    def make(*args):
        made.append(args)
        return object()

    return make


@pytest.mark.parametrize("args", [(), (1, 2.0, "a", None, True), ((1, 2), ((1, 2), (3, 4)))])
def test_what_is_asked_for_again_is_not_made_again(make, made, args):
    assert make(*args) is make(*args)
    assert made == [args]


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (1, 1.0), (1, np.int64(1)), ((1,), (True,)), ((1,), (1.0,))]
)
def test_what_is_equal_but_of_another_type_is_made_for_itself(make, made, one, other):
    assert make(one) is not make(other)
    assert make(one) is make(one)
    assert len(made) == 2


@pytest.mark.parametrize("value", [[1], (True,), ([1],), (((1,),),), {1: 2}, np.ones(2)])
def test_what_may_change_or_deceive_is_made_each_time(make, value):
    assert make(value) is not make(value)


def test_no_more_than_so_many_are_kept(make, made):
    for number in range(KEPT + 1):
        make(number)
    make(0)
    assert len(made) == KEPT + 2


def test_errors_are_not_kept(made):
    @remembered
    def fail(number):
        made.append(number)
        raise ValueError(number)

    for _ in range(2):
        with pytest.raises(ValueError, match="1"):
            fail(1)
    assert made == [1, 1]
