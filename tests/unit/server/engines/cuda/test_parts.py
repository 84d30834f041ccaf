"""Parts that the engine computes as one batch, and their arrays as they lie."""

import numpy as np
import pytest
from convserve.errors import UnavailableError
from convserve.layers import Flatten
from convserve.networks import Network
from convserve.tensors import spec_of
from convserve_server.engines.base import Views
from convserve_server.planning.planner import compile_network

from tests.engine_work import (
    CHANNELS,
    CountingDevice,
    check,
    expected,
    finish,
    make_engine,
    program,
    random,
    views,
    weights,
)
from tests.fakes.host_device import HostPlans


def in_memory_order(array, last):
    axes = (0, 2, 3, 1) if last else (0, 1, 2, 3)
    return np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))


@pytest.mark.parametrize("last", [False, True])
def test_parts_are_rows_of_one_batch(last):
    engine, work, given = make_engine(), program(), weights()
    parts = [views(work, given, seed, rows) for seed, rows in enumerate((1, 3, 2))]
    parts = [
        Views(
            {**given, "input": in_memory_order(part.tensors["input"], last)},
            {"relu": in_memory_order(part.outputs["relu"], last)},
        )
        for part in parts
    ]
    finish(engine.begin(work, parts, "key"))
    for part in parts:
        check(work, part)


def test_only_what_counts_of_a_result_comes_back():
    engine, work = make_engine(), program()
    part = views(work, weights())
    index = (slice(None), slice(None), slice(1, 11), slice(2, None))
    whole = np.full((1, CHANNELS, 20, 20), np.nan, np.float32)
    place = whole[:, :, 3:13, 5:15]
    finish(engine.begin(work, [Views(part.tensors, {"relu": place}, {"relu": index})]))
    np.testing.assert_allclose(place, expected(work, part)[index], rtol=1e-4, atol=1e-5)
    assert np.isnan(whole).sum() == whole.size - place.size


def test_a_batch_of_nothing_gives_nothing():
    engine, work = make_engine(), program()
    part = views(work, weights(), rows=0)
    records = finish(engine.begin(work, [part]))
    assert [record.name for record in records] == ["conv", "relu"]


class PlansOfSizes(HostPlans):
    """Has plans for batches of some sizes alone."""

    def __init__(self, *sizes):
        super().__init__()
        self.sizes = sizes

    def find(self, graph):
        return super().find(graph) if graph.convolution.input[0] in self.sizes else None


def test_parts_for_which_there_is_no_plan_together_are_computed_in_fewer():
    plans, device = PlansOfSizes(1, 4), CountingDevice()
    engine, work, given = make_engine(device, plans), program(), weights()
    parts = [views(work, given, seed) for seed in range(7)]
    records = finish(engine.begin(work, parts, "key"))
    assert len(records) == 2
    for part in parts:
        check(work, part)
    assert device.counted("upload") == 2 + 7
    plans.sizes = (1, 4, 7)  # built meanwhile
    again = [views(work, given, seed) for seed in range(7)]
    finish(engine.begin(work, again, "key"))
    for part in again:
        check(work, part)


def test_work_that_nobody_has_built_the_plans_of_may_be_called_again():
    plans = PlansOfSizes(2)
    engine, work = make_engine(plans=plans), program()
    free = engine.free_bytes
    with pytest.raises(UnavailableError, match="call again"):
        engine.begin(work, [views(work, weights())], "key")
    assert engine.free_bytes == free
    plans.sizes = (1,)
    finish(engine.begin(work, [part := views(work, weights())], "key"))
    check(work, part)


def test_tensors_are_turned_round_by_the_host_where_no_kernel_was_built_for_it():
    class NoKernels(HostPlans):
        def kernel(self, instance):
            return None

    x = in_memory_order(random((2, 3, 4, 5)), last=True)
    work = compile_network(Network([Flatten(name="flat")]), [spec_of("input", x)])
    output = np.full((2, 60), np.nan, np.float32)
    finish(make_engine(plans=NoKernels()).begin(work, [Views({"input": x}, {"flat": output})]))
    np.testing.assert_array_equal(output, x.reshape(2, 60))
