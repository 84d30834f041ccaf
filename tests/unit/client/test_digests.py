import hashlib
from itertools import count, islice

import numpy as np
import pytest
from convserve.errors import OverloadedError, TensorMissingError
from convserve.layers import Conv
from convserve.networks import Network
from convserve.v1 import compute_service_pb2 as pb2
from convserve_client import _digests
from convserve_client._digests import NAMED_BYTES, Digest, Repeats, hash_tensors, send_missing
from convserve_client._models import load
from convserve_client._networks import run

from tests.fakes.answers import inline, loaded, stream
from tests.fakes.driver import ScriptedDriver

LARGE = np.arange(NAMED_BYTES // 4, dtype=np.float32).reshape(16, -1, 1, 1)
WEIGHTS = {"a.weight": LARGE, "a.bias": np.ones(len(LARGE), np.float32)}
NETWORK = Network([Conv(len(LARGE), 1, name="a")])
X = np.ones((1, LARGE.shape[1], 1, 1), np.float32)
SHA256 = hashlib.sha256(LARGE.tobytes()).digest()


def missing(positions, count):
    return TensorMissingError("send them", metadata={"missing": positions, "count": count})


def drive(flow):
    return ScriptedDriver().drive(flow)


def digests_of(header):
    return [(each.tensor, each.sha256, each.sent) for each in header.digests]


def test_large_tensors_have_digests() -> None:
    tensors = {"x": LARGE, **WEIGHTS}
    assert drive(hash_tensors(tensors, WEIGHTS)) == (Digest(1, SHA256),)


def test_others_have_their_turn_while_a_tensor_is_hashed(monkeypatch) -> None:
    monkeypatch.setattr(_digests, "STEP_BYTES", NAMED_BYTES // 4)
    driver = ScriptedDriver()
    assert driver.drive(hash_tensors(WEIGHTS, WEIGHTS)) == (Digest(0, SHA256),)
    assert driver.pauses == [0.0] * 4


def test_a_tensor_is_hashed_as_it_is_sent() -> None:
    swapped = LARGE[::-1].astype(">f4")[::-1]
    assert drive(hash_tensors({"a": swapped}, ["a"])) == (Digest(0, SHA256),)


class Server:
    """Notes what is sent to it, and lacks what it is told to."""

    def __init__(self, *errors: TensorMissingError) -> None:
        self.sent: list[list[int]] = []
        self._errors = list(errors)

    def send(self, digests):
        self.sent.append([each.position for each in digests if each.sent])
        if self._errors:
            raise self._errors.pop(0)
        return "done"
        yield


NAMED = tuple(Digest(position, b"") for position in range(5))


@pytest.mark.parametrize(
    ("errors", "sent"),
    [
        ([], [[]]),
        ([missing("0-2,4", 4)], [[], [0, 1, 2, 4]]),
        ([missing("1", 1), missing("3", 1)], [[], [1], [0, 1, 2, 3, 4]]),
        ([missing("0-1", 3)], [[], [0, 1, 2, 3, 4]]),
        ([missing("nonsense", 1)], [[], [0, 1, 2, 3, 4]]),
        ([TensorMissingError("send them")], [[], [0, 1, 2, 3, 4]]),
    ],
    ids=["none", "some", "others-later", "cut", "nonsense", "nothing-said"],
)
def test_what_the_server_lacks_is_sent(errors, sent) -> None:
    server = Server(*errors)
    assert drive(send_missing(NAMED, server.send)) == "done"
    assert server.sent == sent


def test_a_server_that_never_has_enough_is_not_asked_for_ever() -> None:
    server = Server(*[missing("0", 1)] * 3)
    with pytest.raises(TensorMissingError):
        drive(send_missing(NAMED, server.send))
    assert server.sent == [[], [0], [0, 1, 2, 3, 4]]


def test_a_model_is_loaded_by_digests_first() -> None:
    driver = ScriptedDriver([missing("0", 1), loaded("m-1")])
    driver.drive(load(driver.session(), NETWORK, WEIGHTS))
    (_, [first, bias], _), (_, [second, *chunks], _) = driver.sent
    assert digests_of(first.header) == [(0, SHA256, False)]
    assert bias.chunk.tensor == 1
    assert digests_of(second.header) == [(0, SHA256, True)]
    assert b"".join(each.chunk.data for each in chunks[:-1]) == LARGE.tobytes()


def test_a_model_is_hashed_once() -> None:
    driver = ScriptedDriver([loaded("m-1"), loaded("m-2")])
    session = driver.session()
    resident = driver.drive(load(session, NETWORK, WEIGHTS))
    pauses = len(driver.pauses)
    driver.drive(resident.load(session.begin(None)))
    assert pauses == len(driver.pauses) == 1
    assert digests_of(driver.sent[1][1][0].header) == [(0, SHA256, False)]


def test_an_attempt_is_repeated_as_others_are() -> None:
    driver = ScriptedDriver([OverloadedError("full", retry_delay=1.0), loaded("m-1")])
    driver.drive(load(driver.session(), NETWORK, WEIGHTS))
    assert [name for name, _, _ in driver.sent] == ["LoadModel"] * 2


def test_a_run_is_by_digest_from_the_second_on() -> None:
    result = np.ones((1, 16, 1, 1), np.float32)
    driver = ScriptedDriver([inline(a=result)] * 2)
    session = driver.session()
    for _ in range(2):
        driver.drive(run(session, NETWORK, X, WEIGHTS))
    (_, [first], _), (_, [second], _) = driver.sent
    assert digests_of(first.header) == []
    assert digests_of(second.header) == [(1, SHA256, False)]
    assert [len(data) for data in second.data] == [X.nbytes, 0, 64]


def test_what_is_not_sent_makes_no_stream() -> None:
    large = np.ones((1 << 20, 1, 1, 1), np.float32)
    result = np.ones((1, 1, 1), np.float32)
    driver = ScriptedDriver([stream(a=result), inline(a=result), missing("1", 1), stream(a=result)])
    session = driver.session()
    for _ in range(3):
        driver.drive(run(session, NETWORK, X, {"a.weight": large}))
    assert [name for name, _, _ in driver.sent] == ["Run", "RunInline", "RunInline", "Run"]
    header, *chunks = driver.sent[-1][1]
    assert isinstance(header, pb2.RunRequest)
    assert sum(len(each.chunk.data) for each in chunks) == large.nbytes + X.nbytes


def named_runs(weights):
    """How many digests each of several runs has, with one of these weights after the other."""
    repeats = Repeats()
    return [len(drive(repeats.digests("key", {"a": array}, ["a"]))) for array in weights]


def test_weights_that_change_are_sent() -> None:
    assert named_runs([LARGE, LARGE, LARGE, LARGE]) == [0, 1, 1, 1]
    assert named_runs([LARGE, LARGE, LARGE + 1, LARGE + 1, LARGE + 1]) == [0, 1, 0, 0, 0]


def test_few_calls_are_remembered() -> None:
    repeats = Repeats()
    for key in range(2 * _digests.KEPT):
        assert drive(repeats.digests(key, {"a": LARGE}, ["a"])) == ()
    assert drive(repeats.digests(0, {"a": LARGE}, ["a"])) == ()
    assert len(drive(repeats.digests(2 * _digests.KEPT - 1, {"a": LARGE}, ["a"]))) == 1


class Crowded:
    """A key that other calls crowd out while it is looked up again and again, as threads do."""

    def __init__(self, repeats: Repeats) -> None:
        self._repeats = repeats
        self._others = count()

    def __hash__(self) -> int:
        for other in islice(self._others, _digests.KEPT // 3):
            drive(self._repeats.digests(other, {"a": X}, ["a"]))
        return 0


def test_a_call_that_others_crowd_out_meanwhile_is_no_fault() -> None:
    repeats = Repeats()
    key = Crowded(repeats)
    for named in (0, 1):
        assert len(drive(repeats.digests(key, {"a": LARGE}, ["a"]))) == named
