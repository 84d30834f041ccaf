"""The rules of every kind of layer, and the one list of them."""

from __future__ import annotations

from typing import Any

from convserve import layers as kinds
from convserve.layers import Layer

from convserve_server.planning.dtypes import REAL
from convserve_server.planning.layers.activations import ActivationRule
from convserve_server.planning.layers.conv import ConvRule
from convserve_server.planning.layers.conv_transpose import ConvTransposeRule
from convserve_server.planning.layers.dense import BatchNormRule, DenseRule, FlattenRule
from convserve_server.planning.layers.merge import AddRule, ConcatRule
from convserve_server.planning.layers.pool import (
    AvgPoolRule,
    GlobalAvgPoolRule,
    GlobalMaxPoolRule,
    MaxPoolRule,
)
from convserve_server.planning.layers.rearrange import (
    PadRule,
    PixelShuffleRule,
    PixelUnshuffleRule,
    UpsampleRule,
)
from convserve_server.planning.layers.rule import Rule

RULES: dict[type[Layer], Rule[Any]] = {
    kinds.Conv: ConvRule(),
    kinds.ConvTranspose: ConvTransposeRule(),
    kinds.MaxPool: MaxPoolRule(),
    kinds.AvgPool: AvgPoolRule(),
    kinds.GlobalAvgPool: GlobalAvgPoolRule(),
    kinds.GlobalMaxPool: GlobalMaxPoolRule(),
    kinds.ReLU: ActivationRule(1, "a maximum", REAL),
    kinds.ReLU6: ActivationRule(2, "a maximum and a minimum", REAL),
    kinds.LeakyReLU: ActivationRule(2, "a comparison and a product"),
    kinds.GELU: ActivationRule(5, "a division, erf, a sum and two products"),
    kinds.SiLU: ActivationRule(5, "a negation, exp, a sum, a division and a product"),
    kinds.Sigmoid: ActivationRule(4, "a negation, exp, a sum and a division"),
    kinds.Tanh: ActivationRule(1, "tanh"),
    kinds.ELU: ActivationRule(4, "a comparison, exp, a difference and a product"),
    kinds.Softplus: ActivationRule(5, "a product, exp, a sum, log and a division"),
    kinds.Softmax: ActivationRule(5, "a maximum, a difference, exp, a sum and a division"),
    kinds.BatchNorm: BatchNormRule(),
    kinds.Dense: DenseRule(),
    kinds.Flatten: FlattenRule(),
    kinds.Add: AddRule(),
    kinds.Concat: ConcatRule(),
    kinds.Pad: PadRule(),
    kinds.Upsample: UpsampleRule(),
    kinds.PixelShuffle: PixelShuffleRule(),
    kinds.PixelUnshuffle: PixelUnshuffleRule(),
}


def rule_of(layer: Layer) -> Rule[Any]:
    """The rules of the layer's kind."""
    return RULES[type(layer)]
