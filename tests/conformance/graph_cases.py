"""The cases of graphs: branches that join, several inputs and outputs, chains of many kinds."""

from __future__ import annotations

from collections.abc import Iterator

from convserve import layers as cs
from convserve.networks import Network

from tests.conformance.case import Case
from tests.conformance.layer_cases import FLOATS, INTEGERS


def graph_cases() -> Iterator[Case]:
    """Networks of several layers."""
    yield from _residual_graphs()
    yield from _graphs_of_several()


def _residual_graphs() -> Iterator[Case]:
    residual = Network([
        cs.Conv(4, 3, padding=1, name="first"),
        cs.ReLU(name="relu"),
        cs.Conv(4, 3, padding=1, name="second", inputs="relu"),
        cs.Add(name="sum", inputs=("second", "relu")),
        cs.MaxPool(2, name="half"),
        cs.Conv(2, 1, name="side", inputs="half", bias=False),
        cs.Concat(name="join", inputs=("half", "side")),
        cs.GlobalAvgPool(),
        cs.Flatten(),
        cs.Dense(5, name="scores"),
    ])  # fmt: skip
    weights = {
        "first.weight": (4, 3, 3, 3), "first.bias": (4,),
        "second.weight": (4, 4, 3, 3), "second.bias": (4,),
        "side.weight": (2, 4, 1, 1),
        "scores.weight": (5, 6), "scores.bias": (5,),
    }  # fmt: skip
    for dtype in FLOATS:
        yield Case(
            name=f"residual-{dtype}",
            work=residual,
            inputs={"input": (2, 3, 8, 8)},
            weights=weights,
            dtype=dtype,
        )
    yield Case(
        name="residual-empty_batch", work=residual, inputs={"input": (0, 3, 8, 8)}, weights=weights
    )
    yield Case(
        name="residual-last",
        work=residual,
        inputs={"input": (2, 8, 8, 3)},
        weights=weights,
        layout="channels_last",
    )


def _graphs_of_several() -> Iterator[Case]:
    two = Network(
        [
            cs.Conv(3, 3, name="left", inputs="x"),
            cs.ConvTranspose(3, 3, name="right", inputs="y"),
            cs.Add(name="sum", inputs=("left", "right")),
            cs.ELU(name="bent", inputs="sum"),
            cs.Softmax(name="shares", inputs="sum"),
        ],
        inputs=("x", "y"),
        outputs=("shares", "left", "bent"),
    )
    weights = {"left.weight": (3, 2, 3, 3), "left.bias": (3,),
               "right.weight": (4, 3, 3, 3), "right.bias": (3,)}  # fmt: skip
    for dtype in FLOATS:
        yield Case(
            name=f"two_inputs-{dtype}",
            work=two,
            weights=weights,
            dtype=dtype,
            inputs={"x": (2, 2, 8, 9), "y": (2, 4, 4, 5)},
        )
    whole = Network([cs.Conv(4, 3, padding=1), cs.ReLU(), cs.MaxPool(2), cs.Flatten(), cs.Dense(3)])
    weights = {"conv1.weight": (4, 2, 3), "conv1.bias": (4,),
               "dense1.weight": (3, 16), "dense1.bias": (3,)}  # fmt: skip
    for dtype in INTEGERS:
        yield Case(
            name=f"integer_chain-{dtype}",
            work=whole,
            inputs={"input": (2, 2, 8)},
            weights=weights,
            dtype=dtype,
        )
