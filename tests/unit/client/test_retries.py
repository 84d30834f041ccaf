import pytest
from convserve.errors import (
    ChecksumError,
    ConvserveError,
    DeadlineExceededError,
    DrainingError,
    InternalError,
    NotBuiltError,
    OverloadedError,
    ShapeError,
    TooLargeError,
    UnreachableError,
    WorkerDiedError,
)
from convserve_client import _networks
from convserve_client._retries import RECONNECT_SECONDS, REFUSAL_SECONDS, Policy

from tests.fakes.answers import unloaded
from tests.fakes.driver import ScriptedDriver

RETRIED_ONCE = [WorkerDiedError, NotBuiltError, UnreachableError, ChecksumError]
NEVER_RETRIED = [ShapeError, TooLargeError, InternalError, DeadlineExceededError]
REFUSALS = [OverloadedError, DrainingError]


def info(driver: ScriptedDriver, **options: float) -> object:
    return driver.drive(_networks.info(driver.session(**options)))


@pytest.mark.parametrize("kind", RETRIED_ONCE)
def test_a_loss_is_retried_once(kind: type[ConvserveError]) -> None:
    driver = ScriptedDriver([kind("first"), kind("second")])
    with pytest.raises(kind, match="second"):
        info(driver)
    assert len(driver.sent) == 2


def test_a_server_without_workers_is_asked_again_after_its_delay() -> None:
    lost = [WorkerDiedError("none could be started", retry_delay=2.0) for _ in range(2)]
    driver = ScriptedDriver([*lost, WorkerDiedError("died"), ShapeError("wrong")])
    with pytest.raises(ShapeError):
        info(driver)
    assert len(driver.pauses) == 2
    assert min(driver.pauses) >= 2.0


@pytest.mark.parametrize("kind", [*NEVER_RETRIED, *RETRIED_ONCE, *REFUSALS])
def test_without_retries_the_first_error_is_raised(kind: type[ConvserveError]) -> None:
    driver = ScriptedDriver([kind("first")])
    with pytest.raises(kind, match="first"):
        info(driver, max_retries=0)


@pytest.mark.parametrize("kind", NEVER_RETRIED)
def test_wrong_input_and_faults_are_not_retried(kind: type[ConvserveError]) -> None:
    driver = ScriptedDriver([kind("first")])
    with pytest.raises(kind, match="first"):
        info(driver)
    assert driver.pauses == []


def test_a_lost_connection_is_retried_after_a_pause() -> None:
    driver = ScriptedDriver([UnreachableError("gone"), UnreachableError("gone")])
    with pytest.raises(UnreachableError):
        info(driver)
    assert driver.pauses == [RECONNECT_SECONDS]


def test_pauses_after_lost_connections_grow() -> None:
    driver = ScriptedDriver([UnreachableError("gone")] * 4)
    with pytest.raises(UnreachableError):
        info(driver, max_retries=3)
    assert driver.pauses == [RECONNECT_SECONDS * factor for factor in (1, 2, 4)]


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_server_that_refuses_is_asked_until_the_deadline(kind: type[ConvserveError]) -> None:
    driver = ScriptedDriver([kind("not now", retry_delay=2.0)] * 5)
    with pytest.raises(kind):
        info(driver, timeout=10.0)
    assert driver.pauses == [2.0, 4.0]
    assert [timeout for _, _, timeout in driver.sent] == [10.0, 8.0, 4.0]


@pytest.mark.parametrize("kind", REFUSALS)
def test_delays_stop_growing(kind: type[ConvserveError]) -> None:
    policy = Policy(1, lambda: 0.0)
    delays = [policy.delay(kind("not now", retry_delay=1.0), 0, n) for n in (0, 3, 4, 5, 1000)]
    assert delays == [1.0, 8.0, 16.0, 16.0, 16.0]


def test_a_server_that_went_away_after_it_drained_is_a_loss() -> None:
    driver = ScriptedDriver([DrainingError("stopping"), *[UnreachableError("gone")] * 2])
    with pytest.raises(UnreachableError):
        info(driver)
    assert driver.pauses == [REFUSAL_SECONDS, RECONNECT_SECONDS]


def test_no_attempt_begins_at_the_deadline() -> None:
    driver = ScriptedDriver([OverloadedError("full", retry_delay=5.0)] * 3)
    with pytest.raises(OverloadedError):
        info(driver, timeout=10.0)
    assert driver.pauses == [5.0]


def test_refusals_do_not_use_up_the_retries_of_losses() -> None:
    driver = ScriptedDriver([OverloadedError("full", retry_delay=1.0), WorkerDiedError("lost")])
    with pytest.raises(IndexError):  # a third attempt, for which the script has no answer
        info(driver)
    assert len(driver.sent) == 3


def test_jitter_only_lengthens_the_delay() -> None:
    error = OverloadedError("full", retry_delay=2.0)
    assert Policy(1, lambda: 0.0).delay(error, 0) == 2.0
    assert Policy(1, lambda: 1.0).delay(error, 0) == 3.0


def test_no_time_left_is_an_error_of_its_own() -> None:
    driver = ScriptedDriver([unloaded()])
    effort = driver.session(timeout=5.0).begin(None)
    driver.clock.now += 5.0
    with pytest.raises(DeadlineExceededError, match="5 seconds") as caught:
        driver.drive(effort.attempt(lambda: pytest.fail("no attempt must be made")))
    assert caught.value.field == "timeout"
