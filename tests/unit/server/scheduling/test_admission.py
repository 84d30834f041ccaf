import pytest
from convserve.errors import DeadlineExceededError, OverloadedError, TooLargeError
from convserve_server.scheduling.admission import (
    Admission,
    Admit,
    Cancel,
    Defer,
    IllegalEventError,
    Refuse,
    Release,
    Request,
    Tick,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule


def tell(admission, *events, now=0.0):
    """All commands for the events, each followed by ticks as a driver sends them."""
    commands = []
    for event in events:
        while new := admission.handle(event, now):
            commands += new
            event = Tick()
    return commands


def refused(commands):
    """The one refusal's error."""
    (command,) = commands
    assert isinstance(command, Refuse)
    return command.error


def test_what_fits_is_admitted_at_once():
    admission = Admission(100, queue_limit=0)
    assert tell(admission, Request(1, 60), Request(2, 40)) == [Admit(1), Admit(2)]
    assert admission.bytes_in_flight == 100


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


def test_a_deadline_passes_in_the_queue():
    admission = Admission(100, queue_limit=2)
    tell(admission, Request(1, 100), Request(2, 5, deadline=10.0), Request(3, 6))
    assert tell(admission, Tick(), now=9.9) == []
    error = refused(tell(admission, Tick(), now=10.0))
    assert isinstance(error, DeadlineExceededError)
    assert "waited for 5 bytes: 100 of 100 are in use" in error.message
    assert tell(admission, Release(1), now=10.0) == [Admit(3)]


def test_the_late_leave_the_queue_before_the_next_is_counted():
    admission = Admission(100, queue_limit=1)
    tell(admission, Request(1, 100), Request(2, 5, deadline=10.0))
    commands = tell(admission, Request(3, 5), now=10.0)
    assert [type(command) for command in commands] == [Refuse]
    assert commands[0].id == 2
    assert admission.queue_length == 1


def test_who_comes_after_the_deadline_is_refused():
    assert isinstance(
        refused(tell(Admission(100, 1), Request(1, 1, deadline=1.0), now=1.0)),
        DeadlineExceededError,
    )


def test_the_deferred_is_first_and_waits_for_a_release():
    admission = Admission(100, queue_limit=3)
    tell(admission, Request(1, 40), Request(2, 50))
    assert tell(admission, Defer(2), Request(3, 1), Tick()) == []
    assert admission.bytes_in_flight == 40
    assert tell(admission, Release(1)) == [Admit(2), Admit(3)]


def test_those_behind_the_deferred_go_on_when_it_gives_up():
    admission = Admission(100, queue_limit=3)
    tell(admission, Request(1, 40), Request(2, 50, deadline=5.0), Defer(2), Request(3, 1))
    refusal, admission_of_3 = tell(admission, Tick(), now=5.0)
    assert "40 of 100 are in use, the rest in shorter pieces" in refusal.error.message
    assert admission_of_3 == Admit(3)


@pytest.mark.parametrize(
    "event", [Cancel(1), Release(2), Defer(2), Release(9), Request(1, 1), Request(2, 1)]
)
def test_an_illegal_event_tells_the_story(event):
    admission = Admission(100, queue_limit=3)
    tell(admission, Request(1, 60), Request(2, 50))
    with pytest.raises(IllegalEventError, match=r"cannot happen now: .*id=2.* admitted"):
        admission.handle(event, 0.0)


class Admissions(RuleBasedStateMachine):
    """A simple list of calls must agree with the machine, whatever happens."""

    BUDGET, LIMIT = 10, 3

    def __init__(self):
        super().__init__()
        self.admission = Admission(self.BUDGET, self.LIMIT)
        self.now = 0.0
        self.next_id = 1
        self.waiting = []  # requests, in order
        self.admitted = {}

    def tell(self, event):
        for command in tell(self.admission, event, now=self.now):
            request = next(r for r in self.waiting if r.id == command.id)
            if isinstance(command, Admit):
                assert request is self.waiting[0], "somebody overtook"
                assert request.deadline is None or request.deadline > self.now
                self.admitted[request.id] = request
            elif isinstance(command.error, DeadlineExceededError):
                assert request.deadline <= self.now
            elif isinstance(command.error, TooLargeError):
                assert request.byte_count > self.BUDGET
            else:
                assert len(self.waiting) == self.LIMIT + 1
            self.waiting.remove(request)

    @rule(byte_count=st.integers(1, 12), patience=st.none() | st.integers(0, 3))
    def request(self, byte_count, patience):
        deadline = None if patience is None else self.now + patience
        request = Request(self.next_id, byte_count, deadline)
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

    @rule(seconds=st.integers(0, 2))
    def wait(self, seconds):
        self.now += seconds
        self.tell(Tick())

    @invariant()
    def the_bytes_are_counted_and_within_the_budget(self):
        total = sum(request.byte_count for request in self.admitted.values())
        assert self.admission.bytes_in_flight == total <= self.BUDGET

    @invariant()
    def the_queue_is_bounded_and_only_who_must_waits(self):
        assert self.admission.queue_length == len(self.waiting) <= self.LIMIT
        if self.waiting:
            first = self.waiting[0]
            assert first.byte_count + self.admission.bytes_in_flight > self.BUDGET


TestAdmissions = Admissions.TestCase
TestAdmissions.settings = settings(max_examples=100, deadline=None)
