import threading

import pytest
from convserve_server.engines.cpu.team import Team


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_shares_hold_every_item_once_and_come_back_in_order(threads):
    shares = Team(threads).share(list, range(7))
    assert shares == [list(range(7))[i::threads] for i in range(threads)]


def test_no_items_are_no_calls():
    assert Team(3).share(list, []) == []


def test_shares_run_at_the_same_time():
    barrier = threading.Barrier(3, timeout=30)
    assert sorted(Team(3).share(lambda share: barrier.wait(), range(3))) == [0, 1, 2]


def test_an_error_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        Team(2).share(lambda share: 1 // (share[0] - 1), [0, 1])
