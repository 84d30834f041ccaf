"""Graphs of operators, inputs and attributes at random: a network, or an error with its place."""

import random
from itertools import pairwise

import numpy as np
import pytest
from convserve.errors import ConvserveError, TooLargeError
from convserve_server.planning.importers.onnx.folding import FOLDS
from convserve_server.planning.importers.onnx.operators import OPERATORS
from convserve_server.planning.limits import MAX_LAYERS
from onnx import numpy_helper

from tests.onnx_models import make_model, node, read

GRAPHS = 1200
OPERATIONS = sorted({*OPERATORS, *FOLDS})
ATTRIBUTES = (
    *("axis", "axes", "perm", "kernel_shape", "pads", "strides", "dilations", "group", "mode"),
    *("auto_pad", "scales", "split", "num_outputs", "keepdims", "to", "value", "value_ints"),
    *("starts", "ends", "steps", "blocksize", "alpha", "size", "epsilon", "ceil_mode", "start"),
    *("output_padding", "output_shape", "transA", "num_groups", "allowzero", "end", "nearest_mode"),
)
CONSTANTS = {
    "w": np.ones((6, 4, 3, 3), np.float32),
    "v": np.ones(4, np.float32),
    "one": np.array([1]),
    "four": np.array([0, 2, -1, 3]),
    "zero": np.int64(0),
    "matrix": np.ones((4, 5), np.float32),
    "empty": np.zeros(0, np.float32),
    "huge": np.array([2**62, -(2**62)]),
    "yes": np.array([True]),
    "eight": np.array([0, 0, 1, 1, 0, 0, -1, 2]),
    "scales": np.array([1, 1, 2, 1.5], np.float32),
}
SHAPES = ((1, 4, 6, 6), ("N", 4, 6, 6), ("N", 4, None, None), (2, 4), (1, 4, 6), (2, 4, 1, 1, 3))
VALUES = (
    *(0, 1, 2, -1, 5, 2**31, 2**62, -(2**63)),
    *(0.5, float("nan"), float("inf")),
    *([1], [0, 1], [2, 2], [1, 1, 1, 1], [-1, 3], [2**40, 1], [3, 2, 1, 0]),
    *("SAME_UPPER", "linear", "nearest", "CRD", "reflect", "x"),
    *([2.0, 2.0], [1.0, 1.0, 2.0, 2.0], numpy_helper.from_array(np.array([3]))),
)


def random_model(chance):
    names, nodes = ["x", "z", *CONSTANTS], []
    for number in range(chance.randint(1, 4)):
        made = [each.output[0] for each in nodes]
        inputs = [chance.choice(["x", *made, *names]), *chance.choices([*names, "_"], k=3)]
        wanted = dict(
            zip(chance.choices(ATTRIBUTES, k=3), chance.choices(VALUES, k=3), strict=True)
        )
        attributes = dict(list(wanted.items())[: chance.randint(0, 3)])
        given = " ".join(inputs[: chance.randint(1, 4)])
        nodes.append(node(chance.choice(OPERATIONS), given, f"y{number} q{number}", **attributes))
        names.append(f"y{number}")
    return make_model(
        *nodes,
        inputs={"x": chance.choice(SHAPES), "z": (1, 4, 6, 6)},
        constants=CONSTANTS,
        outputs=[nodes[-1].output[0]],
        opset=chance.choice([7, 9, 11, 13, 18, 21]),
    )


def test_too_many_layers_are_refused():
    names = ["x", *(f"y{number}" for number in range(MAX_LAYERS + 1))]
    nodes = [node("Relu", *pair) for pair in pairwise(names)]
    with pytest.raises(TooLargeError, match=f"more than {MAX_LAYERS} layers"):
        read(make_model(*nodes, inputs={"x": (1, 4)}, outputs=names[-1:]))


def test_any_graph_is_read_or_refused():
    chance, errors = random.Random(3), []
    for _ in range(GRAPHS):
        try:
            read(random_model(chance))
        except ConvserveError as error:
            errors.append(error)
    assert 10 < len(errors) < GRAPHS - 10
    assert all(error.field or "do not depend" in error.message for error in errors)
