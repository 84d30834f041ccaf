import pytest
from convserve.errors import OverloadedError, TooLargeError
from convserve_server.scheduling.admission import (
    Admission,
    Admit,
    Cancel,
    Continue,
    Defer,
    Refuse,
    Release,
    Request,
)
from convserve_server.scheduling.events import IllegalEventError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule


def tell(admission, *events):
    """All commands for the events, each carried out as a driver does."""
    commands = []
    for event in events:
        while new := admission.handle(event):
            commands += new
            event = Continue()
    return commands


def bytes_in_flight(admission):
    """What the machine counts, as a refusal tells it."""
    return int(
        refused(admission.handle(Request(0, admission.budget_bytes + 1))).metadata[
            "bytes_in_flight"
        ]
    )


def refused(commands):
    """The one refusal's error."""
    (command,) = commands
    assert isinstance(command, Refuse)
    return command.error


def test_what_fits_is_admitted_at_once():
    admission = Admission(100, queue_limit=0)
    assert tell(admission, Request(1, 60), Request(2, 40)) == [Admit(1), Admit(2)]
    assert bytes_in_flight(admission) == 100


def test_what_does_not_fit_waits_for_a_release_in_its_order():
    admission = Admission(100, queue_limit=3)
    assert tell(admission, Request(1, 100), Request(2, 90), Request(3, 10)) == [Admit(1)]
    assert admission.queue_length == 2
    assert tell(admission, Release(1)) == [Admit(2), Admit(3)]


def test_nobody_overtakes():
    admission = Admission(100, queue_limit=3)
    tell(admission, Request(1, 60), Request(2, 50))
    assert tell(admission, Request(3, 1)) == []
    assert tell(admission, Cancel(2)) == [Admit(3)]


def test_what_never_fits_is_refused_with_both_numbers():
    error = refused(tell(Admission(100, 3), Request(1, 101)))
    assert isinstance(error, TooLargeError)
    assert "101 bytes" in error.message
    assert "100 in all; make the tensors smaller or split the batch" in error.message
    assert error.metadata["planned_bytes"] == "101"
    assert error.metadata["budget_bytes"] == "100"
    assert error.retry_delay is None


def test_a_full_queue_refuses_with_the_numbers_and_a_delay():
    admission = Admission(100, queue_limit=1)
    tell(admission, Request(1, 100), Request(2, 1))
    error = refused(tell(admission, Request(3, 7)))
    assert isinstance(error, OverloadedError)
    assert error.metadata == {
        "planned_bytes": "7",
        "budget_bytes": "100",
        "bytes_in_flight": "100",
        "queue_length": "1",
    }
    assert error.retry_delay


def test_the_deferred_is_first_and_waits_for_a_release():
    admission = Admission(100, queue_limit=3)
    tell(admission, Request(1, 40), Request(2, 50))
    assert tell(admission, Defer(2), Request(3, 1), Continue()) == []
    assert bytes_in_flight(admission) == 40
    assert tell(admission, Release(1)) == [Admit(2), Admit(3)]


def test_those_behind_the_deferred_go_on_when_it_gives_up():
    admission = Admission(100, queue_limit=3)
    tell(admission, Request(1, 40), Request(2, 50), Defer(2), Request(3, 1))
    assert tell(admission, Cancel(2)) == [Admit(3)]


@pytest.mark.parametrize(
    "event", [Cancel(1), Release(2), Defer(2), Release(9), Request(1, 1), Request(2, 1)]
)
def test_an_illegal_event_tells_the_story(event):
    admission = Admission(100, queue_limit=3)
    tell(admission, Request(1, 60), Request(2, 50))
    with pytest.raises(IllegalEventError, match=r"cannot happen now: .*id=2.* admitted"):
        admission.handle(event)


class Admissions(RuleBasedStateMachine):
    """A simple list of calls must agree with the machine, whatever happens."""

    BUDGET, LIMIT = 10, 3

    def __init__(self):
        super().__init__()
        self.admission = Admission(self.BUDGET, self.LIMIT)
        self.next_id = 1
        self.waiting = []  # requests, in order
        self.admitted = {}

    def tell(self, event):
        for command in tell(self.admission, event):
            request = next(r for r in self.waiting if r.id == command.id)
            if isinstance(command, Admit):
                assert request is self.waiting[0], "somebody overtook"
                self.admitted[request.id] = request
            elif isinstance(command.error, TooLargeError):
                assert request.byte_count > self.BUDGET
            else:
                assert len(self.waiting) == self.LIMIT + 1
            self.waiting.remove(request)

    @rule(byte_count=st.integers(1, 12))
    def request(self, byte_count):
        request = Request(self.next_id, byte_count)
        self.next_id += 1
        self.waiting.append(request)
        self.tell(request)

    @precondition(lambda self: self.admitted)
    @rule(data=st.data())
    def release(self, data):
        request = self.admitted.pop(data.draw(st.sampled_from(sorted(self.admitted))))
        self.tell(Release(request.id))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data):
        request = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(request)
        self.tell(Cancel(request.id))

    @rule()
    def go_on(self):
        self.tell(Continue())

    @invariant()
    def the_bytes_are_counted_and_within_the_budget(self):
        total = sum(request.byte_count for request in self.admitted.values())
        assert bytes_in_flight(self.admission) == total <= self.BUDGET

    @invariant()
    def the_queue_is_bounded_and_only_who_must_waits(self):
        assert self.admission.queue_length == len(self.waiting) <= self.LIMIT
        if self.waiting:
            first = self.waiting[0]
            assert first.byte_count + bytes_in_flight(self.admission) > self.BUDGET


TestAdmissions = Admissions.TestCase
TestAdmissions.settings = settings(max_examples=100, deadline=None)
