"""Explanations as they are printed."""

from __future__ import annotations

from convserve.explaining import plan_explanation_text
from convserve.explanations import Change, Explanation, FoundLayer, FoundLayers, Rendering
from convserve.layers import Conv, ReLU
from convserve.plans import Count, LayerPlan, Plan
from convserve.tensors import TensorSpec

IMAGE = TensorSpec("input", "float32", (-1, 3, 8, 8))
CONV = LayerPlan(
    name="conv1",
    kind="conv",
    inputs=("input",),
    output=TensorSpec("conv1", "float32", (-1, 4, 6, 6)),
    resolved=Conv(4, 3, name="conv1"),
    engine="cpu",
    algorithm="direct",
    algorithm_reason="few channels",
    explanation=("L' = 6",),
    counts=(
        Count(convention="mac", value=3888, meaning="products", tools=("thop", "fvcore")),
        Count(convention="flop", value=7776, meaning="2 for each product"),
    ),
)
RELU = LayerPlan(
    name="relu1",
    kind="relu",
    inputs=("conv1",),
    output=TensorSpec("relu1", "float32", (-1, 4, 6, 6)),
    resolved=ReLU(name="relu1"),
    engine="cuda",
    algorithm_reason="nobody was asked",
)
PLAN = Plan(inputs=(IMAGE,), outputs=(RELU.output,), layers=(CONV, RELU))
HEAD = """\
conv1 (conv) reads input, gives (N, 4, 6, 6) float32
  L' = 6
  cpu direct: few channels"""


def test_every_layer_of_a_plan():
    assert plan_explanation_text(PLAN) == (
        f"{HEAD}\n\nrelu1 (relu) reads conv1, gives (N, 4, 6, 6) float32\n  cuda: nobody was asked"
    )


def test_one_layer_with_its_counts():
    assert (
        PLAN.explain("conv1")
        == f"""\
{HEAD}
  as tools count it:
    mac   3,888: products [thop, fvcore]
    flop  7,776: 2 for each product"""
    )


def test_an_impossible_layer_says_what_would_do():
    explanation = Explanation(
        dialect="pytorch",
        text="cs.Conv(4, 9)",
        inputs=(IMAGE,),
        problem="kernel 9 does not fit 8",
        problem_field="conv.kernel_size",
        changes=(Change(edit="padding=1", gives="2", distance=1),),
    )
    assert (
        str(explanation)
        == """\
cs.Conv(4, 9)
  reads (N, 3, 8, 8) float32
  impossible: conv.kernel_size: kernel 9 does not fit 8

Nearest changes:
  padding=1 gives 2"""
    )


def test_other_spellings():
    renderings = (
        Rendering(dialect="convserve", spelling="cs.Conv(4, 3)", outcome="same"),
        Rendering(
            dialect="keras",
            runtime="keras",
            spelling="Conv2D(4, 3)",
            outcome="other_shape",
            output_shape=(-1, 4, -2, 5),
            message="it pads otherwise",
            exact="[ZeroPadding2D(1), Conv2D(4, 3)]",
        ),
        Rendering(dialect="scipy", outcome="inexpressible", message="single channels only"),
    )
    explanation = Explanation(dialect="pytorch", text="cs.Conv(4, 3)", renderings=renderings)
    assert (
        str(explanation)
        == """\
cs.Conv(4, 3)

Dialect    Outcome      Shape there    Because
───────────────────────────────────────────────────────────
convserve  same
keras      other shape  (N, 4, -2, 5)  it pads otherwise
scipy      no words                    single channels only
───────────────────────────────────────────────────────────
convserve  cs.Conv(4, 3)
keras      Conv2D(4, 3)
keras      exactly: [ZeroPadding2D(1), Conv2D(4, 3)]"""
    )


def test_layers_that_were_found():
    layers = (
        FoundLayer(kernel_size=3, stride=2, input_low=(7, 9), input_high=(8, 9)),
        FoundLayer(kernel_size=4, padding=((1, 2),), dilation=2, input_low=(8,), input_high=(8,)),
    )
    assert (
        str(FoundLayers(layers=layers, count=5))
        == """\
Kernel  Stride  Padding  Dilation  Inputs with this output
──────────────────────────────────────────────────────────
     3       2        0                         7 to 8 × 9
     4       1     1, 2         2                        8
──────────────────────────────────────────────────────────
3 more within these bounds"""
    )
    assert str(FoundLayers()) == "No layer within these bounds gives that size."
