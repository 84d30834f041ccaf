"""The engine on a device of host memory: lanes, room, resident weights, recordings."""

import weakref

import numpy as np
import pytest
from attrs import evolve
from convserve.errors import TooLargeError
from convserve_server.engines.base import LaneEngine, Views
from convserve_server.engines.cuda import loading
from convserve_server.engines.cuda.checks import FINITE
from convserve_server.engines.cuda.device import DeviceLostError
from convserve_server.engines.cuda.engine import CudaEngine
from convserve_server.engines.cuda.lowering import lower
from convserve_server.engines.cuda.recipe import Check

from tests.engine_work import (
    CountingDevice,
    check,
    expected,
    finish,
    make_engine,
    memory_of,
    program,
    views,
    weights,
)
from tests.fakes.host_device import HostDevice, HostPlans


def test_it_is_an_engine_with_lanes():
    engine = make_engine(lanes=2)
    assert isinstance(engine, LaneEngine)
    assert (engine.lanes, engine.facts.name) == (2, "host")


def test_work_of_all_lanes_is_done_when_it_is_waited_for():
    engine, work = make_engine(), program()
    parts = [views(work, weights(), seed) for seed in range(3)]
    running = [engine.begin(work, [part], "key") for part in parts]
    assert all(np.isnan(part.outputs["relu"]).all() for part in parts)
    for each, part in zip(running, parts, strict=True):
        records = finish(each)
        check(work, part)
        assert [record.name for record in records] == ["conv", "relu"]
    assert {record.engine for record in records} == {"cuda"}


def test_weights_stay_until_they_are_forgotten():
    engine, work, given = make_engine(device := CountingDevice()), program(), weights()
    free = engine.free_bytes
    finish(engine.begin(work, [first := views(work, given)], "key"))
    assert engine.free_bytes < free
    device.counted("upload")
    before = expected(work, first)
    for array in given.values():
        array[...] = 0
    finish(engine.begin(work, [second := views(work, given)], "key"))
    np.testing.assert_allclose(second.outputs["relu"], before, rtol=1e-4, atol=1e-5)
    assert device.counted("upload") == 1  # the input
    engine.forget("other")
    engine.forget("key")
    assert engine.free_bytes == free
    finish(engine.begin(work, [third := views(work, given)], "key"))
    assert not third.outputs["relu"].any()


def test_without_a_key_nothing_stays():
    engine, work = make_engine(), program()
    free = engine.free_bytes
    for seed in range(3):
        finish(engine.begin(work, [part := views(work, weights(seed), seed)]))
        check(work, part)
    assert engine.free_bytes == free


def test_batch_sizes_of_a_key_share_their_weights():
    engine = make_engine()
    free = []
    for rows in (1, 2, 4):
        work = program(rows)
        finish(engine.begin(work, [part := views(work, weights())], "key"))
        check(work, part)
        free.append(engine.free_bytes)
    assert len(set(free)) == 1


def test_other_lanes_wait_for_weights_that_are_prepared():
    engine, work = make_engine(), program()
    first, second = (views(work, weights(), seed) for seed in (1, 2))
    running = [engine.begin(work, [part], "key") for part in (first, second)]
    running[1].wait()  # the device has done nothing else of the first by now
    finish(running[0])
    finish(running[1])
    check(work, first)
    check(work, second)


def test_what_is_forgotten_while_it_is_read_goes_afterwards():
    engine, work = make_engine(), program()
    free = engine.free_bytes
    running = engine.begin(work, [part := views(work, weights())], "key")
    engine.forget("key")
    other = engine.begin(work, [views(work, weights(2))], "key")
    finish(running)
    check(work, part)
    finish(other)
    engine.forget("key")
    assert engine.free_bytes == free


def test_work_waits_for_older_work_where_there_is_no_room():
    work = program()
    working, lasting = memory_of(work)
    engine = make_engine(CountingDevice(lasting + 2 * working))
    parts = [views(work, weights(), seed) for seed in range(3)]
    running = [engine.begin(work, [part], "key") for part in parts]
    assert not np.isnan(parts[0].outputs["relu"]).any()  # done, to make room
    assert np.isnan(parts[1].outputs["relu"]).all()
    for each, part in zip(running, parts, strict=True):
        finish(each)
        check(work, part)


def test_weights_that_were_not_used_for_the_longest_make_room():
    work = program()
    working, lasting = memory_of(work)
    engine = make_engine(device := CountingDevice(2 * lasting + working))
    uploads = []
    for key in ("a", "b", "a", "c", "a", "b"):
        device.counted("upload")
        finish(engine.begin(work, [part := views(work, weights(ord(key)))], key))
        check(work, part)
        uploads.append(device.counted("upload"))
    assert uploads == [3, 3, 1, 3, 1, 3]


def test_weights_in_the_way_of_their_own_work_are_prepared_again():
    small, large = program(), program(size=16)
    working, lasting = memory_of(large)
    engine = make_engine(CountingDevice(lasting + working))
    for key in ("other", "key"):  # the second lies below the first
        finish(engine.begin(small, [views(small, weights())], key))
    engine.forget("other")
    finish(engine.begin(large, [part := views(large, weights())], "key"))
    check(large, part)


def test_what_can_never_fit_is_refused_and_takes_nothing():
    engine, work = make_engine(CountingDevice(1 << 14)), program(size=64)
    with pytest.raises(TooLargeError, match="of which the engine has 16384"):
        engine.begin(work, [views(work, weights())], "key")
    assert engine.free_bytes == 1 << 14


def test_memory_comes_back_when_work_cannot_begin():
    engine, work = make_engine(), program()
    free = engine.free_bytes
    part = views(work, weights())
    with pytest.raises(KeyError):
        engine.begin(work, [Views({"input": part.tensors["input"]}, part.outputs)], "key")
    assert engine.free_bytes == free
    finish(engine.begin(work, [part], "key"))
    check(work, part)


def test_commands_are_recorded_the_second_time_and_replayed_then():
    engine, work = make_engine(device := CountingDevice()), program()
    given = [views(work, weights(), seed) for seed in range(4)]
    seen = []
    for part in given:
        finish(engine.begin(work, [part], "key"))
        check(work, part)
        seen.append((device.counted("record"), device.counted("replay")))
    assert seen == [(0, 0), (1, 1), (0, 1), (0, 1)]


def test_weights_that_have_moved_are_not_read_where_they_were():
    engine, work = make_engine(device := CountingDevice()), program()
    for _ in range(3):
        finish(engine.begin(work, [views(work, weights(1))], "key"))
    engine.forget("key")
    finish(engine.begin(work, [views(work, weights(2))], "in the way"))
    device.counted("replay")
    finish(engine.begin(work, [part := views(work, weights(3))], "key"))
    check(work, part)
    assert device.counted("replay") == 0


def test_what_cannot_be_recorded_is_given_each_time():
    class Refusing(HostDevice):
        def lane(self):
            lane = super().lane()
            lane.record = refuse
            return lane

    def refuse(give):
        refusals.append(give)
        raise RuntimeError("a library refuses")

    refusals = []
    engine, work = make_engine(Refusing(1 << 20)), program()
    for seed in range(4):
        finish(engine.begin(work, [part := views(work, weights(), seed)], "key"))
        check(work, part)
    assert len(refusals) == 1


def test_a_lost_device_is_told_of():
    class Broken(HostDevice):
        def lane(self):
            lane = super().lane()
            lane.launch = lose
            return lane

    def lose(*_):
        raise DeviceLostError("gone")

    engine, work = make_engine(Broken(1 << 20)), program()
    with pytest.raises(DeviceLostError):
        engine.begin(work, [views(work, weights())], "key")


def test_work_that_does_not_fit_takes_smaller_workspaces():
    work = program()
    working, lasting = memory_of(work)
    large, small = HostPlans(workspace_bytes=1 << 19), HostPlans(workspace_bytes=0)
    engine = CudaEngine(CountingDevice(working + lasting), lambda precision: (large, small))
    finish(engine.begin(work, [part := views(work, weights())], "key"))
    check(work, part)


def test_memory_is_pinned_while_it_is_attached():
    engine = make_engine(device := CountingDevice())
    memory = np.zeros(8192, np.uint8)
    engine.attach(memoryview(memory))
    assert device.pinned == [(memory.ctypes.data, 8192)]
    engine.detach(memoryview(memory))
    assert device.pinned == []


def test_what_was_gathered_stays_until_it_is_copied():
    engine, work = make_engine(), program(rows=4, size=32)
    part = views(work, weights())
    backwards = np.ascontiguousarray(part.tensors["input"][..., ::-1])[..., ::-1]
    part = Views({**part.tensors, "input": backwards}, part.outputs)
    running = engine.begin(work, [part], "key")
    spoilt = [np.full(backwards.shape, np.nan, np.float32) for _ in range(8)]
    finish(running)
    check(work, part)
    assert len(spoilt) == 8


def test_work_is_done_again_without_transforms_where_they_would_spread_what_is_not_finite(
    monkeypatch,
):
    lowered = []

    def lower_with_check(work, plans, layouts, *, fft):
        """As if the recipe had transforms, and its input were their peaks."""
        lowered.append(fft)
        recipe = lower(work, plans, layouts, fft=fft)
        checks = (Check(FINITE, (recipe.inputs["input"],), "float32", "", limit=1),) if fft else ()
        return evolve(recipe, checks=checks)

    monkeypatch.setattr(loading, "lower", lower_with_check)
    engine, work = make_engine(), program()
    finish(engine.begin(work, [part := views(work, weights())], "key"))
    check(work, part)
    assert lowered == [True]
    part.tensors["input"][0, 0, 0, 0] = np.inf
    finish(engine.begin(work, [part], "key"))
    assert lowered == [True, False]
    assert np.isinf(part.outputs["relu"]).any()
    assert np.isfinite(part.outputs["relu"][..., 2:]).all()


def test_results_that_were_delivered_are_let_go_of():
    engine, work = make_engine(), program()
    finish(engine.begin(work, [part := views(work, weights())], "key"))
    output = weakref.ref(part.outputs["relu"])
    del part
    assert output() is None


def test_closing_waits_for_what_has_begun():
    engine, work = make_engine(), program()
    engine.begin(work, [part := views(work, weights())], "key")
    engine.close()
    assert not np.isnan(part.outputs["relu"]).any()
