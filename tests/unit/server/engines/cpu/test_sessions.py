import numpy as np
import pytest
from convserve.layers import Conv
from convserve.networks import Network
from convserve.tensors import empty, spec_of
from convserve_server.engines.cpu.advice import CpuAdvisor
from convserve_server.engines.cpu.sessions import (
    COMPARED_BYTES,
    CONSTANT_BYTES,
    SessionKind,
    Sessions,
)
from convserve_server.engines.cpu.stages import make_stages
from convserve_server.planning.planner import compile_network

BUDGET = 64 << 20
BLOCKED = SessionKind(blocked=True, threads=1)


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


class Layer:
    """A 1x1 convolution of 8 channels, its graph and its tensors."""

    def __init__(self, filters=16, batch=2):
        self.tensors = {
            "input": random(batch, 8, 5, 5),
            "c.weight": random(filters, 8, 1, 1, seed=1),
            "c.bias": random(filters, seed=2),
        }
        specs = [spec_of(name, array) for name, array in self.tensors.items()]
        program = compile_network(Network([Conv(filters, 1, name="c")]), specs)
        (stage,) = make_stages(program, CpuAdvisor())
        self.graph, self.spec = stage.graph, program.steps[0].output

    def run(self, sessions, key="", kind=BLOCKED):
        outputs = {"c": empty(self.spec)}
        assert sessions.run(self.graph, self.tensors, outputs, kind, key)
        weight = self.tensors["c.weight"][:, :, 0, 0].astype(np.float64)
        expected = np.einsum("kc,nchw->nkhw", weight, self.tensors["input"])
        expected += self.tensors["c.bias"][:, None, None]
        np.testing.assert_allclose(outputs["c"], expected, rtol=1e-4, atol=1e-5)
        return outputs["c"]


@pytest.fixture
def sessions():
    return Sessions(BUDGET)


def kept(sessions):
    """The origins of the sessions that are kept."""
    return [origin for _, _, origin in sessions.kept]


@pytest.mark.parametrize(
    ("filters", "origin"), [(16, bytes), (COMPARED_BYTES // 32, int)], ids=["values", "checksum"]
)
def test_small_weights_are_constants_so_that_equal_calls_give_equal_bits(sessions, filters, origin):
    layer = Layer(filters)
    first, second = layer.run(sessions), layer.run(sessions)
    assert [type(each) for each in kept(sessions)] == [origin]
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("filters", [16, COMPARED_BYTES // 32])
def test_weights_changed_in_place_are_other_weights(sessions, filters):
    layer = Layer(filters)
    for _ in range(6):
        layer.run(sessions)
        layer.run(sessions)
        layer.tensors["c.weight"] += 1


def test_large_weights_stay_inputs(sessions):
    layer = Layer(filters=CONSTANT_BYTES // 32 + 1)
    for _ in range(3):
        layer.run(sessions)
    assert kept(sessions) == [""]


def test_a_key_makes_constants_at_once_until_it_is_forgotten(sessions):
    layer = Layer()
    layer.run(sessions, "model")
    layer.run(sessions, "model")
    assert kept(sessions) == ["model"]
    sessions.forget("other")
    assert kept(sessions) == ["model"]
    sessions.forget("model")
    assert kept(sessions) == []
    layer.tensors["c.weight"] = random(16, 8, 1, 1, seed=9)
    layer.run(sessions, "model")


def test_one_session_serves_every_batch(sessions):
    for batch in (1, 2, 7):
        Layer(batch=batch).run(sessions, "model")
    assert kept(sessions) == ["model"]


def test_layouts_and_numbers_of_threads_have_sessions_of_their_own(sessions):
    layer = Layer()
    for kind in (BLOCKED, SessionKind(False, 1), SessionKind(True, 2)):
        layer.run(sessions, "model", kind)
    assert len(kept(sessions)) == 3


def test_without_room_sessions_are_made_and_let_go():
    sessions = Sessions(cache_bytes=100)
    layer = Layer()
    for key in ("", "", "model"):
        layer.run(sessions, key)
    assert kept(sessions) == []


def test_sessions_beyond_the_budget_go_the_oldest_first():
    sessions = Sessions(cache_bytes=1 << 20)
    layer = Layer()
    for number in range(20):
        layer.run(sessions, f"model{number}")
        assert sessions.kept.byte_count <= 1 << 20
    assert 1 < len(kept(sessions)) < 20
    assert kept(sessions)[-1] == "model19"
