"""Shared memory as the client uses it: when it asks, where tensors lie, what errors cost."""

import gc
import mmap

import attrs
import numpy as np
import pytest
from convserve import errors
from convserve.codec import to_message
from convserve.layers import ReLU
from convserve.networks import Network
from convserve.tensors import aligned, array_over, spec_from_message, spec_of, spec_to_message
from convserve.v1 import compute_service_pb2 as pb2
from convserve_client import _operations, _shared
from convserve_client._memory import SharedMemory
from convserve_client._networks import run
from convserve_client._shared import Leases, lease_bytes, leases_at

from tests.fakes.answers import RECORD, inline, stream
from tests.fakes.driver import ScriptedDriver

MIB = 1 << 20
X = np.arange(1 << 18, dtype=np.float32).reshape(1, 64, 64, 64)  # 1 MiB
SMALL = X[:, :1]
RELU = Network([ReLU()])


class Machine:
    """A client, its driver, and a server that shares `limit` bytes at most with it."""

    def __init__(self, limit=256 * MIB):
        self.limit = limit
        self.driver = ScriptedDriver()
        self.driver.lend = self.lend
        self.leases = Leases(self.driver.session().make_lock(), self.driver.clock)
        self.session = attrs.evolve(self.driver.session(), leases=self.leases)
        self.mappings = {}
        self.memories = []
        self.ended = []

    def lend(self, byte_count):
        name = f"l-{len(self.mappings)}"
        self.mappings[name] = mmap.mmap(-1, byte_count)
        memory = SharedMemory(name, self.mappings[name], lambda: self.ended.append(name))
        self.memories.append(memory)
        return memory

    def info(self, _):
        """GetServerInfo's answer."""
        limits = pb2.Limits(max_lease_bytes=self.limit)
        return [pb2.GetServerInfoResponse(limits=limits)]

    def doubled(self, requests):
        """RunInline's answer: the first tensor, twice as large, in shared memory."""
        [request] = requests
        shared, spec = request.shared, spec_from_message(request.header.tensors[0])
        memory = memoryview(self.mappings[shared.lease_id])
        places = {each.tensor: each.offset for each in shared.tensors}
        data = memory[places[0] :] if 0 in places else memoryview(request.data[0])
        assert not (0 in places and request.data[0])
        needed = aligned(spec.byte_count)
        if shared.output_bytes < needed:
            raise errors.AreaTooSmallError("too small", metadata={"planned_bytes": needed})
        output = array_over(memory[shared.output_offset :], spec)
        output[...] = 2 * array_over(data, spec)
        answer = pb2.RunInlineResponse(
            outputs=[spec_to_message(spec_of("y", output))], offsets=[shared.output_offset]
        )
        to_message(RECORD, answer.summary)
        return [answer]

    def run(self, x, *answers, out=None):
        """The result of a network on `x`."""
        self.driver.answer(*(answers or [self.doubled]))
        return self.driver.drive(run(self.session, RELU, x, out=out))

    @property
    def sent(self):
        """The rpcs so far, and forget them."""
        names = [name for name, _, _ in self.driver.sent]
        self.driver.sent.clear()
        return names

    def is_free(self, number=0):
        """Whether nobody has room in a lease."""
        gc.collect()
        memory = self.memories[number]
        spans = memory.allocate([memory.byte_count])
        memory.free(spans or ())
        return spans is not None


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def warm(machine):
    """A machine with a lease, whose client knows the size of the results."""
    machine.run(X, machine.info, machine.doubled, machine.doubled)
    machine.driver.sent.clear()
    return machine


def test_the_first_call_that_is_worth_it_asks_for_a_lease(machine):
    y = machine.run(X, machine.info, machine.doubled, machine.doubled)
    np.testing.assert_array_equal(y, 2 * X)
    assert machine.sent == ["GetServerInfo", "RunInline", "RunInline"]  # the first learns the size
    assert machine.driver.borrowed == [64 * MIB]
    assert np.array_equal(machine.run(X), 2 * X)
    assert machine.sent == ["RunInline"]


def test_small_tensors_are_sent(machine):
    y = machine.run(SMALL, inline(y=SMALL))
    np.testing.assert_array_equal(y, SMALL)
    assert machine.sent == ["RunInline"]


def test_a_server_far_away_shares_nothing():
    lock = object()
    assert leases_at("127.0.0.1:50051", lock) is None
    assert leases_at("unix:/run/convserve", lock) is not None


def test_results_lie_in_the_shared_memory_until_nobody_has_them(warm):
    y = warm.run(X)
    assert warm.memories[0].offset_of(y) is not None
    assert y.flags.writeable
    assert y.flags.c_contiguous
    assert not warm.is_free()
    del y
    assert warm.is_free()


def test_a_result_is_not_copied_to_be_sent_again(warm):
    y = warm.run(X)
    place = warm.memories[0].offset_of(y)
    z = warm.run(y)
    [(_, [request], _)] = warm.driver.sent[-1:]
    assert [each.offset for each in request.shared.tensors] == [place]
    np.testing.assert_array_equal(z, 4 * X)
    np.testing.assert_array_equal(y, 2 * X)


@pytest.mark.parametrize("x", [X.transpose(0, 1, 3, 2), X[:, ::2], X.astype(">f4")])
def test_arrays_of_any_kind_are_copied_as_the_server_reads_them(warm, x):
    np.testing.assert_array_equal(warm.run(x, warm.doubled, warm.doubled), 2 * x)


def test_out_is_filled_and_keeps_no_room(warm):
    out = np.empty_like(X)
    assert warm.run(X, out=out) is out
    np.testing.assert_array_equal(out, 2 * X)
    assert warm.is_free()


def test_an_out_that_does_not_fit_costs_no_room(warm):
    with pytest.raises(errors.ShapeError):
        warm.run(X, out=np.empty((1, 2), np.float32))
    assert warm.is_free()
    assert warm.ended == []


def test_an_unbatched_result_loses_its_axis(warm):
    def answer(requests):
        [request] = requests
        [message] = warm.doubled([request])
        return [message]

    warm.driver.answer(answer)
    kernel = np.ones((64, 64, 1, 1), np.float32)
    y = warm.driver.drive(_operations.conv(warm.session, X[0], kernel))
    np.testing.assert_array_equal(y, 2 * X[0])
    assert warm.memories[0].offset_of(y) is not None


def test_a_server_that_will_not_share_is_not_asked_again_for_a_while(machine):
    for error in (errors.NotLocalError("no"), errors.OverloadedError("later"),
                  errors.UnsupportedError("what?")):  # fmt: skip
        machine.driver.clock.now += 100

        def refuse(_, error=error):
            raise error

        machine.driver.lend = refuse
        for answers in ([machine.info, stream(y=X)], [stream(y=X)]):
            np.testing.assert_array_equal(machine.run(X, *answers), X)
        assert machine.sent == ["GetServerInfo", "Run", "Run"]


def test_an_old_server_without_limits_shares_nothing(machine):
    machine.limit = 0
    machine.run(X, machine.info, stream(y=X))
    machine.run(X, stream(y=X))
    assert machine.sent == ["GetServerInfo", "Run", "Run"]
    assert machine.driver.borrowed == []


def test_a_call_above_the_limit_is_sent_and_a_smaller_one_shares(machine):
    machine.limit = 3 * MIB
    large = np.zeros((4, 64, 64, 64), np.float32)
    machine.run(large, machine.info, stream(y=large))
    machine.run(large, stream(y=large))
    machine.run(X, machine.info, machine.doubled, machine.doubled)
    assert machine.driver.borrowed == [3 * MIB]


def test_a_lease_has_room_for_some_results():
    assert lease_bytes(1) == lease_bytes(16 * MIB) == 64 * MIB
    assert lease_bytes(16 * MIB + 1) == 128 * MIB


def test_results_that_are_kept_fill_one_lease_then_another_then_are_sent(machine):
    machine.limit = 2 * MIB
    kept = [machine.run(X, machine.info, machine.doubled, machine.doubled)]
    more = range(_shared.MAX_LEASES - 1)
    kept += [machine.run(X, machine.info, machine.doubled) for _ in more]
    kept.append(machine.run(X, stream(y=2 * X)))
    assert len(machine.memories) == _shared.MAX_LEASES
    for y in kept:
        np.testing.assert_array_equal(y, 2 * X)
    del y, kept
    machine.driver.sent.clear()
    np.testing.assert_array_equal(machine.run(X), 2 * X)
    assert machine.sent == ["RunInline"]


def raising(error):
    def answer(_):
        raise error

    return answer


@pytest.mark.parametrize(
    "error",
    [
        errors.DeadlineExceededError("late"),
        errors.CallCancelledError("gone"),
        errors.InternalError("a fault"),
    ],
)
def test_after_a_call_without_an_answer_its_lease_is_given_up(warm, error):
    kept = warm.run(X)
    with pytest.raises(type(error)):
        warm.run(X, raising(error))
    assert warm.ended == ["l-0"]
    np.testing.assert_array_equal(kept, 2 * X)
    warm.driver.sent.clear()
    np.testing.assert_array_equal(warm.run(X, warm.info, warm.doubled), 2 * X)
    assert warm.sent == ["GetServerInfo", "RunInline"]


@pytest.mark.parametrize(
    "error",
    [
        errors.ShapeError("no"),
        errors.TooLargeError("never"),
        errors.ModelNotFoundError("which?"),
        errors.UnsupportedError("no"),
    ],
)
def test_after_a_refusal_the_lease_is_used_again(warm, error):
    with pytest.raises(type(error)):
        warm.run(X, raising(error))
    assert warm.ended == []
    assert warm.is_free()


def test_a_call_that_is_dropped_gives_its_lease_up(warm):
    flow = run(warm.session, RELU, X)
    next(flow)
    flow.close()
    assert warm.ended == ["l-0"]


def test_a_worker_that_died_is_tried_again_on_the_same_memory(warm):
    y = warm.run(X, raising(errors.WorkerDiedError("died")), warm.doubled)
    np.testing.assert_array_equal(y, 2 * X)
    assert warm.sent == ["RunInline", "RunInline"]
    assert warm.ended == []


def test_a_server_that_forgot_the_lease_gives_another(warm):
    lost = raising(errors.LeaseNotFoundError("lost"))
    np.testing.assert_array_equal(warm.run(X, lost, warm.info, warm.doubled), 2 * X)
    assert warm.sent == ["RunInline", "GetServerInfo", "RunInline"]
    assert warm.ended == ["l-0"]


def test_a_server_that_forgets_every_lease_gets_the_tensors(warm):
    lost = raising(errors.LeaseNotFoundError("lost"))
    y = warm.run(X, lost, warm.info, lost, warm.info, lost, stream(y=X))
    np.testing.assert_array_equal(y, X)


def test_the_successor_of_a_server_that_stopped_gives_another_lease(warm):
    stopped = raising(errors.DrainingError("stopping"))
    lost = raising(errors.LeaseNotFoundError("lost"))
    np.testing.assert_array_equal(warm.run(X, stopped, lost, warm.info, warm.doubled), 2 * X)
    assert warm.ended == ["l-0"]


def test_a_connection_that_is_lost_takes_its_lease_along(warm):
    def lose(_):
        warm.memories[0].close()  # as the end of its stream does
        raise errors.UnreachableError("gone")

    y = warm.run(X, lose, warm.info, warm.doubled)
    np.testing.assert_array_equal(y, 2 * X)
    assert len(warm.memories) == 2


@pytest.mark.parametrize("move", [64, -64, 1 << 40])
def test_results_in_another_place_than_agreed_are_not_believed(warm, move):
    def misplaced(requests):
        [message] = warm.doubled(requests)
        message.offsets[0] += move
        return [message]

    with pytest.raises(errors.InternalError, match="agreed"):
        warm.run(X, misplaced)


def test_booleans_are_sent_and_their_results_shared(warm):
    flags = np.ones((1, 8, 256, 256), np.bool_)
    y = warm.run(flags, warm.doubled, warm.doubled)
    np.testing.assert_array_equal(y, flags)
    [(_, [request], _)] = warm.driver.sent[-1:]
    assert list(request.shared.tensors) == []
    assert warm.memories[0].offset_of(y) is not None


def test_a_call_with_many_booleans_is_sent_as_a_whole(warm):
    flags = np.ones((1, 32, 256, 256), np.bool_)
    warm.run(flags, stream(y=flags))
    assert warm.sent == ["Run"]


def test_closing_the_client_gives_everything_back(warm):
    kept = warm.run(X)
    warm.session.close()
    warm.session.close()
    assert warm.ended == ["l-0"]
    np.testing.assert_array_equal(kept, 2 * X)
