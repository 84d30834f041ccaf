import tracemalloc

import numpy as np
from convserve import layers, operations
from convserve.layers import Add, Conv, ReLU
from convserve.networks import Network
from convserve.tensors import spec_of
from convserve_server.engines import load_engine
from convserve_server.engines.reference import functions
from convserve_server.engines.reference.engine import ReferenceEngine
from convserve_server.planning.planner import compile_network

MIB = 1 << 20


def test_it_is_in_the_list():
    engine = load_engine("reference")
    assert isinstance(engine, ReferenceEngine)
    assert engine.name == "reference"
    engine.forget("nothing kept")


def test_every_kind_has_its_function():
    assert set(functions.LAYERS) == set(layers.KINDS.values())
    assert set(functions.OPERATIONS) == set(operations.OPERATIONS.values())


def test_values_are_freed_after_their_last_reader():
    chain = Network([ReLU() for _ in range(16)])
    x = np.zeros((1, 1, MIB // 8))
    output = np.empty_like(x)
    program = compile_network(chain, [spec_of("input", x)])
    tracemalloc.start()
    try:
        ReferenceEngine().run(program, {"input": x}, {"relu16": output})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 2 * MIB <= peak < 4 * MIB  # what a step reads, computes and rounds to; not sixteen


def test_an_output_may_be_read_again_and_written_through_a_view():
    network = Network(
        [ReLU(name="a"), ReLU(name="b"), Add(name="c", inputs=("a", "input"))], outputs=("a", "c")
    )
    x = np.array([[[-1.0, 2.0]]])
    program = compile_network(network, [spec_of("input", x)])
    memory = np.full((2, 1, 2, 1), np.nan)
    outputs = {"a": memory[0].swapaxes(1, 2), "c": memory[1].swapaxes(1, 2)}
    records = ReferenceEngine().run(program, {"input": x}, outputs)
    assert memory.ravel().tolist() == [0, 2, -1, 4]
    assert [record.name for record in records] == ["a", "b", "c"]


def test_overflow_of_a_half_type_is_infinite_and_silent():
    x = np.full((1, 1, 2), 60000, np.float16)
    weights = {"conv1.weight": np.full((1, 1, 2), 2, np.float16)}
    program = compile_network(
        Network([Conv(1, 2, bias=False)]),
        [spec_of(name, array) for name, array in {"input": x, **weights}.items()],
    )
    output = np.zeros((1, 1, 1), np.float16)
    ReferenceEngine().run(program, {"input": x, **weights}, {"conv1": output})
    assert output.item() == np.inf
