"""What the cpu engine says that it holds beside tensors, and what its arena would take."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from convserve.layers import (
    Add,
    BatchNorm,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    MaxPool,
    ReLU,
    SeparableConv,
)
from convserve.networks import Network
from convserve_server.engines.cpu.advice import CpuAdvisor
from convserve_server.engines.cpu.arena import ALIGNMENT, Arena
from convserve_server.engines.cpu.footprint import (
    PACKED_BYTES,
    SESSION_BYTES,
    arena_bytes,
    find_runs,
)

from tests.networks import alexnet, resnet50
from tests.planning import steps_of

MIB = 1 << 20


def survey(network, shape, dtype="float32"):
    network = network if isinstance(network, Network) else Network(network)
    return CpuAdvisor(2).survey(steps_of(network, shape, dtype), network.outputs)


def hosts(network, shape=(1, 16, 32, 32), dtype="float32"):
    return [advice.fused_into for advice in survey(network, shape, dtype).advices]


def sessions(network, shape):
    steps, advisor = steps_of(network, shape), CpuAdvisor(2)
    return find_runs([(step, advisor.advise(step)) for step in steps], network.outputs)


def test_an_arena_gives_out_the_smallest_piece_that_fits():
    arena = Arena()
    for name, size in (("a", 1000 * 256), ("b", 100 * 256), ("c", 10 * 256)):
        arena.allocate(name, size)
    for name in "abc":
        arena.release(name)
    arena.allocate("d", 90 * 256)
    arena.allocate("e", 900 * 256)
    arena.allocate("f", 100 * 256)  # the rest of a, joined with nothing
    assert arena.byte_count == 1110 * 256


def test_an_arena_joins_what_is_free_within_a_region_only():
    arena = Arena()
    arena.allocate("whole", 4 * ALIGNMENT)
    arena.release("whole")
    for name in "abcd":
        arena.allocate(name, 1)
    for name in "bcda":
        arena.release(name)
    arena.allocate("whole", 4 * ALIGNMENT)
    assert arena.byte_count == 4 * ALIGNMENT
    arena.release("whole")
    arena.allocate("more", 5 * ALIGNMENT)  # the first region is too small for it
    assert arena.byte_count == 9 * ALIGNMENT


@pytest.mark.parametrize("seed", range(5))
def test_an_arena_never_gives_out_the_same_twice(seed):
    chance, arena, live = random.Random(seed), Arena(), {}
    for number in range(300):
        if live and chance.random() < 0.5:
            name = chance.choice(sorted(live))
            arena.release(name)
            del live[name]
        else:
            live[str(number)] = chance.randrange(1, 5000)
            arena.allocate(str(number), live[str(number)])
        used = sorted((start, start + size) for size, start in arena._used.values())
        assert all(one[1] <= other[0] for one, other in pairwise(used))
        assert sum(live.values()) <= arena.byte_count
        free = sum(size for size, _ in arena._free)
        assert free + sum(stop - start for start, stop in used) == arena.byte_count


def test_activations_and_batch_norms_go_with_their_convolution():
    assert hosts([Conv(16, 3), BatchNorm(), ReLU(), Conv(16, 1), ReLU()]) == [
        *("", "conv1", "conv1"),
        *("", "conv2"),
    ]
    assert hosts([Flatten(), Dense(8), ReLU()]) == ["", "", "dense1"]
    assert hosts([Conv(16, 3), MaxPool(2), ReLU(), BatchNorm()]) == ["", "", "", ""]


def test_what_others_read_is_stored():
    network = Network([Conv(16, 1, name="a"), ReLU(name="b"), Add(name="c", inputs=("a", "b"))])
    assert hosts(network) == ["", "", ""]
    network = Network([Conv(16, 1, name="a"), ReLU(name="b")], outputs=("a", "b"))
    assert hosts(network) == ["", ""]


def test_casts_lie_between_half_types():
    assert hosts([Conv(16, 3), ReLU()], dtype="float16") == ["", ""]


def test_weights_that_are_too_many_stay_inputs():
    small, large = survey(resnet50(), (1, 3, 224, 224)), survey(alexnet(), (1, 3, 224, 224))
    weights = 102_440_608
    assert small.resident_bytes == weights + SESSION_BYTES
    assert 2 * weights < small.start_bytes < 2.4 * weights
    assert large.resident_bytes == large.start_bytes == SESSION_BYTES
    assert PACKED_BYTES < 4 * 61_100_840
    network = Network([Conv(2048, 5, bias=False), BatchNorm(), ReLU()])
    assert hosts(network, (1, 1024, 8, 8)) == ["", "", ""]  # 200 MiB: nothing to fold into


def test_a_chain_needs_the_arena_for_what_lies_between():
    network = Network([Conv(16, 3, padding=1), ReLU(), Conv(16, 3, padding=1), ReLU(), ReLU()])
    (run,) = sessions(network, (1, 16, 1024, 1024))
    one = 16 * 1024 * 1024 * 4
    assert not run.blocked
    held, used = arena_bytes([run])
    assert (held, used) == (2 * one, 2 * one)  # the last ReLU's result is the caller's


def test_a_result_that_is_fused_away_lies_where_its_host_puts_it():
    network = Network([Conv(16, 3, padding=1), ReLU()])
    assert arena_bytes(sessions(network, (1, 16, 1024, 1024))) == (0, 0)  # not in the arena


def test_the_blocked_layout_copies_where_others_cannot_read_it():
    network = Network(
        [
            *(Conv(16, 3, padding=1, name="a"), MaxPool(2)),
            *(ConvTranspose(16, 2, stride=2, name="up"), Concat(name="join", inputs=("a", "up"))),
            Conv(16, 3, padding=1, name="b"),
        ]
    )
    (run,) = sessions(network, (1, 16, 64, 64))
    one = 16 * 64 * 64 * 4
    assert run.blocked
    copies = {name: run.scratch[name] for name in ("a", "max_pool1", "join", "b")}
    assert copies == {"a": 2 * one, "max_pool1": one // 4, "join": 0, "b": 3 * one}
    assert survey(network, (1, 16, 64, 64)).advices[4].workspace_bytes == 3 * one


def test_sessions_run_what_was_not_fused_first():
    network = Network(
        [
            *(Conv(16, 1, name="a"), ReLU(), Conv(16, 1, name="main")),
            *(Conv(16, 1, name="skip", inputs="input"), Add(inputs=("main", "skip"))),
        ]
    )
    (run,) = sessions(network, (64, 16, 256, 256))
    assert [step.output.name for step in run.order] == ["skip", "a", "relu1", "main", "add1"]


def test_layers_that_are_several_count_their_parts():
    found = survey([SeparableConv(32, 3), ReLU()], (1, 16, 64, 64))
    assert [advice.fused_into for advice in found.advices] == ["", "separable_conv1"]
    assert found.spare_bytes >= 0


def test_steps_without_onnx_runtime_have_no_session():
    found = survey([Conv(16, 3)], (1, 16, 64, 64), dtype="float64")
    assert (found.resident_bytes, found.start_bytes, found.spare_bytes) == (0, 0, 0)
