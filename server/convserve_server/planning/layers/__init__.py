"""The rules of every kind of layer, and the one list of them."""

from __future__ import annotations

from typing import Any

from convserve import layers as kinds
from convserve.layers import Layer

from convserve_server.planning.dtypes import COMPLEX, FLOATING, FRACTIONS, REAL
from convserve_server.planning.layers.activations import (
    ActivationRule,
    ClipRule,
    PReLURule,
    SoftmaxRule,
)
from convserve_server.planning.layers.adaptive import AdaptivePoolRule, PyramidPoolRule
from convserve_server.planning.layers.conv import ConvRule
from convserve_server.planning.layers.conv_transpose import ConvTransposeRule
from convserve_server.planning.layers.deform import DeformConvRule
from convserve_server.planning.layers.dense import BatchNormRule, DenseRule, FlattenRule
from convserve_server.planning.layers.glue import PermuteRule, ReshapeRule, SliceRule
from convserve_server.planning.layers.graph import GraphConvRule
from convserve_server.planning.layers.lp_pool import GlobalLpPoolRule, LpPoolRule
from convserve_server.planning.layers.merge import ConcatRule, ElementwiseRule
from convserve_server.planning.layers.norm import (
    GroupNormRule,
    InstanceNormRule,
    LayerNormRule,
    LocalResponseNormRule,
    ScaleRule,
)
from convserve_server.planning.layers.pool import (
    AvgPoolRule,
    GlobalAvgPoolRule,
    GlobalMaxPoolRule,
    MaxPoolRule,
)
from convserve_server.planning.layers.quantized import IntegerConvRule, QuantizedConvRule
from convserve_server.planning.layers.rearrange import (
    PadRule,
    PixelShuffleRule,
    PixelUnshuffleRule,
)
from convserve_server.planning.layers.reduce import ReduceMaxRule, ReduceMeanRule, ReduceSumRule
from convserve_server.planning.layers.resize import UpsampleRule
from convserve_server.planning.layers.rule import INPUTS, NOTHING, OUTPUT, Rule
from convserve_server.planning.layers.separable import DepthwiseConvRule, SeparableConvRule
from convserve_server.planning.layers.sub_pixel import SubPixelConvRule
from convserve_server.planning.layers.unfold import FoldRule, UnfoldRule
from convserve_server.planning.layers.unpool import MaxPoolIndicesRule, MaxUnpoolRule

RULES: dict[type[Layer], Rule[Any]] = {
    kinds.Conv: ConvRule(),
    kinds.ConvTranspose: ConvTransposeRule(),
    kinds.MaxPool: MaxPoolRule(),
    kinds.AvgPool: AvgPoolRule(),
    kinds.GlobalAvgPool: GlobalAvgPoolRule(),
    kinds.GlobalMaxPool: GlobalMaxPoolRule(),
    kinds.ReLU: ActivationRule("max(x, 0)", 1, "a maximum", REAL, keeps=OUTPUT),
    kinds.ReLU6: ActivationRule("min(max(x, 0), 6)", 2, "a maximum and a minimum", REAL),
    kinds.LeakyReLU: ActivationRule(
        "x where x >= 0, else {negative_slope} * x", 2, "a comparison and a product"
    ),
    kinds.GELU: ActivationRule(
        "x * (1 + erf(x / sqrt(2))) / 2", 5, "a division, erf, a sum and two products"
    ),
    kinds.SiLU: ActivationRule(
        "x / (1 + exp(-x))", 5, "a negation, exp, a sum, a division and a product"
    ),
    kinds.Sigmoid: ActivationRule(
        "1 / (1 + exp(-x))", 4, "a negation, exp, a sum and a division", keeps=OUTPUT
    ),
    kinds.Tanh: ActivationRule("tanh(x)", 1, "tanh", keeps=OUTPUT),
    kinds.ELU: ActivationRule(
        "x where x > 0, else {alpha} * (exp(x) - 1)",
        4,
        "a comparison, exp, a difference and a product",
    ),
    kinds.Softplus: ActivationRule(
        "log(1 + exp({beta} * x)) / {beta}", 5, "a product, exp, a sum, log and a division"
    ),
    kinds.Softmax: SoftmaxRule(),
    kinds.BatchNorm: BatchNormRule(),
    kinds.Dense: DenseRule(),
    kinds.Flatten: FlattenRule(),
    kinds.Add: ElementwiseRule("additions"),
    kinds.Concat: ConcatRule(),
    kinds.Pad: PadRule(),
    kinds.Upsample: UpsampleRule(),
    kinds.PixelShuffle: PixelShuffleRule(),
    kinds.PixelUnshuffle: PixelUnshuffleRule(),
    kinds.DepthwiseConv: DepthwiseConvRule(),
    kinds.SeparableConv: SeparableConvRule(),
    kinds.SubPixelConv: SubPixelConvRule(),
    kinds.DeformConv: DeformConvRule(),
    kinds.IntegerConv: IntegerConvRule(),
    kinds.QuantizedConv: QuantizedConvRule(),
    kinds.LocalResponseNorm: LocalResponseNormRule(),
    kinds.LayerNorm: LayerNormRule(),
    kinds.GroupNorm: GroupNormRule(),
    kinds.InstanceNorm: InstanceNormRule(),
    kinds.GraphConv: GraphConvRule(),
    kinds.Unfold: UnfoldRule(),
    kinds.Fold: FoldRule(),
    kinds.Scale: ScaleRule(),
    kinds.Rescale: ActivationRule(
        "x * {factor} + {offset}", 2, "a product and a sum", keeps=NOTHING
    ),
    kinds.LpPool: LpPoolRule(),
    kinds.GlobalLpPool: GlobalLpPoolRule(),
    kinds.MaxPoolIndices: MaxPoolIndicesRule(),
    kinds.MaxUnpool: MaxUnpoolRule(),
    kinds.AdaptiveAvgPool: AdaptivePoolRule[kinds.AdaptiveAvgPool](FRACTIONS, "additions"),
    kinds.AdaptiveMaxPool: AdaptivePoolRule[kinds.AdaptiveMaxPool](REAL, "comparisons"),
    kinds.PyramidPool: PyramidPoolRule(),
    kinds.Permute: PermuteRule(),
    kinds.Reshape: ReshapeRule(),
    kinds.Slice: SliceRule(),
    kinds.Mul: ElementwiseRule("products", keeps=INPUTS),
    kinds.Sub: ElementwiseRule("differences", most=2),
    kinds.Div: ElementwiseRule("quotients", most=2, takes=(FLOATING, COMPLEX), keeps=INPUTS),
    kinds.ReduceMean: ReduceMeanRule(),
    kinds.ReduceMax: ReduceMaxRule(),
    kinds.ReduceSum: ReduceSumRule(),
    kinds.HardSigmoid: ActivationRule(
        "min(max({alpha} * x + {beta}, 0), 1)", 4, "a product, a sum, a maximum and a minimum"
    ),
    kinds.HardSwish: ActivationRule(
        "x * min(max(x / 6 + 0.5, 0), 1)", 5, "two products, a sum, a maximum and a minimum"
    ),
    kinds.Mish: ActivationRule(
        "x * tanh(log(1 + exp(x)))", 5, "exp, a sum, log, tanh and a product"
    ),
    kinds.PReLU: PReLURule(),
    kinds.Clip: ClipRule(),
    kinds.Exp: ActivationRule("e^x", 1, "exp", keeps=OUTPUT),
    kinds.Sqrt: ActivationRule("sqrt(x)", 1, "a root", keeps=OUTPUT),
    kinds.Power: ActivationRule("x^{exponent}", 1, "a power"),
    kinds.Abs: ActivationRule("|x|", 1, "an absolute value", REAL),
    kinds.Log: ActivationRule("log(x)", 1, "log"),
    kinds.Erf: ActivationRule("erf(x)", 1, "erf"),
}


def rule_of(layer: Layer) -> Rule[Any]:
    """The rules of the layer's kind."""
    return RULES[type(layer)]
