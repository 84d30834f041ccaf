"""Each convolution is asked about once, and a planner that fails is not asked again."""

import asyncio

import pytest
from attrs import evolve
from convserve.errors import TooLargeError, UnsupportedError
from convserve_server.planners.cudnn.messages import decode_request, encode_offer
from convserve_server.planners.offers import MAX_CONVOLUTIONS, Collection, OfferDesk
from convserve_server.planners.pool import PlannerPool, TaskError
from convserve_server.planning.devices.properties import device_properties
from convserve_server.planning.kernels import Candidate, Convolution, Offer

from tests.unit.server.workers.harness import cancel, in_loop, started

H200, L4 = device_properties("h200"), device_properties("l4")
CONV = Convolution(
    "forward",
    "float32",
    (2, 8, 6, 6),
    (4, 8, 3, 3),
    (2, 4, 6, 6),
    (1, 1),
    ((1, 1), (1, 1)),
    (1, 1),
)
OFFER = Offer("cuDNN 9.19.0", (Candidate("eng1", 5, ("TENSOR_CORE",)),))


class FakePool(PlannerPool):
    """Answers by `reply`, when `gate` is open, and counts how many ask at once."""

    def __init__(self, reply=lambda asked: encode_offer(OFFER)):
        self.reply = reply
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = []
        self.at_once = self.most = 0

    async def run(self, task, request, *, region=None, seconds=None):
        assert task == "cudnn_offer"
        self.asked.append(decode_request(request))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.gate.wait()
            return self.reply(self.asked[-1])
        finally:
            self.at_once -= 1


def convolutions(count):
    return [evolve(CONV, stride=(number + 1, 1)) for number in range(count)]


@in_loop
async def test_an_offer_is_asked_for_once_per_device():
    pool = FakePool()
    desk = OfferDesk(pool, 1)
    for _ in range(2):
        assert await desk.collect([CONV], H200) == Collection({CONV: OFFER}, lasts=True)
    assert [each.convolution for each in pool.asked] == [CONV]
    await desk.collect([CONV], L4)
    assert [each.properties for each in pool.asked] == [H200, L4]


@in_loop
async def test_who_asks_meanwhile_waits_for_the_same_answer():
    pool = FakePool()
    pool.gate.clear()
    desk = OfferDesk(pool, 1)
    first, second = [await started(desk.collect([CONV], H200)) for _ in range(2)]
    await cancel(first)
    pool.gate.set()
    assert (await second).answers == {CONV: OFFER}
    assert len(pool.asked) == 1


@in_loop
async def test_no_more_are_asked_at_once_than_there_are_processes():
    pool = FakePool()
    pool.gate.clear()
    asked = convolutions(5)
    collecting = await started(OfferDesk(pool, 2).collect(asked, H200))
    for _ in range(10):  # rounds of the loop: more than they need to come to their first wait
        await asyncio.wait((collecting,), timeout=0)
    pool.gate.set()
    assert (await collecting).answers.keys() == set(asked)
    assert pool.most == 2


@in_loop
async def test_what_the_library_does_not_take_is_remembered():
    def refuse(asked):
        raise UnsupportedError("cuDNN takes no such convolution")

    pool = FakePool(refuse)
    desk = OfferDesk(pool, 1)
    for _ in range(2):
        found = await desk.collect(convolutions(2), H200)
        assert found.lasts
        assert set(found.answers.values()) == {"cuDNN takes no such convolution"}
    assert len(pool.asked) == 2


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TooLargeError("it takes too long"), "gave no answer: it takes too long"),
        (TaskError("a secret"), "has a fault"),
    ],
)
@in_loop
async def test_a_failure_ends_the_asking_but_not_the_plan(error, told):
    def fail(asked):
        raise error

    pool = FakePool(fail)
    desk = OfferDesk(pool, 1)
    asked = convolutions(5)
    found = await desk.collect(asked, H200)
    assert not found.lasts
    assert len(pool.asked) == 1
    assert found.answers.keys() == set(asked)
    assert all(told in answer for answer in found.answers.values())
    assert not any("secret" in answer for answer in found.answers.values())
    pool.reply = lambda asked: encode_offer(OFFER)
    assert (await desk.collect(asked, H200)).answers[CONV] == OFFER


@in_loop
async def test_an_answer_that_is_no_offer_is_a_fault():
    found = await OfferDesk(FakePool(lambda _: b"\xc1"), 1).collect([CONV], H200)
    (answer,) = found.answers.values()
    assert "has a fault" in answer


@in_loop
async def test_a_plan_asks_about_so_many_only():
    pool = FakePool()
    asked = convolutions(MAX_CONVOLUTIONS + 3)
    found = await OfferDesk(pool, 4).collect(asked, H200)
    assert len(pool.asked) == MAX_CONVOLUTIONS
    assert found.answers[asked[-1]].startswith(f"cuDNN is asked about {MAX_CONVOLUTIONS} different")
