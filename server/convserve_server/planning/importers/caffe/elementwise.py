"""Caffe's layers of single elements, and its normalisations."""

from __future__ import annotations

import math

from convserve.layers import (
    ELU,
    Abs,
    Add,
    BatchNorm,
    Exp,
    Layer,
    LeakyReLU,
    LocalResponseNorm,
    Log,
    Mul,
    Power,
    PReLU,
    ReLU,
    Rescale,
    Reshape,
    Scale,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)

from convserve_server.planning.importers.caffe.place import Place
from convserve_server.planning.importers.fields import is_real

SIMPLE: dict[str, type[Layer]] = {
    "Sigmoid": Sigmoid,
    "TanH": Tanh,
    "AbsVal": Abs,
    "BNLL": Softplus,
}


def simple(place: Place) -> str:
    """A function without numbers: SIMPLE."""
    return place.add(SIMPLE[place.layer.type](), place.input)


def rectify(place: Place) -> str:
    """ReLU, with a slope below zero."""
    fields = place.fields("relu_param")
    slope = fields.real("negative_slope", 0.0)
    fields.finish()
    return place.add(LeakyReLU(slope) if slope else ReLU(), place.input)


def rectify_learnt(place: Place) -> str:
    """PReLU with a slope per channel."""
    fields = place.fields("prelu_param")
    fields.require("channel_shared", (False,), "one slope per channel")
    fields.ignore("filler")
    fields.finish()
    return place.add(PReLU(), place.input)


def elu(place: Place) -> str:
    """ELU."""
    fields = place.fields("elu_param")
    alpha = fields.real("alpha", 1.0)
    fields.finish()
    return place.add(ELU(alpha), place.input)


def swish(place: Place) -> str:
    """Swish with beta 1."""
    fields = place.fields("swish_param")
    fields.require("beta", (1, 1.0), "beta 1")
    fields.finish()
    return place.add(SiLU(), place.input)


def power(place: Place) -> str:
    """(shift + scale * x) ^ power."""
    fields = place.fields("power_param")
    exponent = fields.real("power", 1.0)
    scale, shift = fields.real("scale", 1.0), fields.real("shift", 0.0)
    fields.finish()
    if exponent == 1:
        return place.add(Rescale(scale, shift), place.input)
    return place.add(Power(exponent), _rescaled(place, scale, shift))


def exp(place: Place) -> str:
    """Base ^ (shift + scale * x); base -1, the default, is e."""
    fields = place.fields("exp_param")
    factor = _log_base(place, fields.real("base", -1.0))
    scale, shift = fields.real("scale", 1.0), fields.real("shift", 0.0)
    fields.finish()
    return place.add(Exp(), _rescaled(place, scale * factor, shift * factor))


def log(place: Place) -> str:
    """Logarithm of shift + scale * x to the base; base -1, the default, is e."""
    fields = place.fields("log_param")
    factor = _log_base(place, fields.real("base", -1.0))
    scale, shift = fields.real("scale", 1.0), fields.real("shift", 0.0)
    fields.finish()
    x = _rescaled(place, scale, shift)
    if factor == 1:
        return place.add(Log(), x)
    return place.add(Rescale(1 / factor), place.add(Log(), x, part="log"))


def softmax(place: Place) -> str:
    """Softmax over one axis."""
    fields = place.fields("softmax_param")
    axis = place.axis(fields)
    fields.finish()
    return place.add(Softmax(axis), place.input)


def normalize_batch(place: Place) -> str:
    """BatchNorm with its running statistics; the affine part is a Scale layer in Caffe."""
    fields = place.fields("batch_norm_param")
    fields.require("use_global_stats", (True,), "running statistics: use_global_stats true")
    fields.ignore("moving_average_fraction")
    eps = fields.real("eps", 1e-5)
    fields.finish()
    place.draft.note(
        "a BatchNorm of Caffe has three blobs: running_mean and running_var here are the first two "
        "divided by the third"
    )
    return place.add(BatchNorm(eps, weight=False, bias=False), place.input)


def normalize_response(place: Place) -> str:
    """LRN across channels; alpha is divided by the size, as here."""
    fields = place.fields("lrn_param")
    fields.word("norm_region", ("ACROSS_CHANNELS",), "ACROSS_CHANNELS")
    size = fields.integer("local_size", 5, low=1)
    if size % 2 == 0:
        raise fields.unsupported("local_size", "Caffe takes odd sizes only")
    layer = LocalResponseNorm(
        size, fields.real("alpha", 1.0), fields.real("beta", 0.75), fields.real("k", 1.0)
    )
    fields.finish()
    return place.add(layer, place.input)


def scale(place: Place) -> str:
    """Scale: learnt factors per channel, or the product with a second blob's leading axes."""
    fields = place.fields("scale_param")
    fields.ignore("filler", "bias_filler")
    bias = fields.flag("bias_term", False)
    if len(place.inputs) == 2:
        if bias or fields.get("axis") != 0:
            raise place.unsupported("a second blob needs axis: 0 and no bias_term", "scale_param")
        fields.ignore("num_axes")
        fields.finish()
        x, factor = place.inputs
        return place.add(Mul(), x, _broadcast(place, factor))
    axis = place.axis(fields)
    fields.require("num_axes", (1,), "one axis of factors")
    if axis != 1:
        raise fields.unsupported("axis", "factors per channel, axis 1")
    fields.finish()
    return place.add(Scale(bias), place.input)


def combine(place: Place) -> str:
    """Eltwise: the sum, with coefficients, or the product."""
    fields = place.fields("eltwise_param")
    operation = fields.word("operation", ("SUM", "PROD"), "SUM")
    fields.ignore("stable_prod_grad")
    given = fields.get("coeff")
    coefficients = given if isinstance(given, list) else [given]
    fields.finish()
    if len(place.inputs) < 2:
        raise place.unsupported("it joins at least 2 blobs", "bottom")
    if operation == "PROD" or given is None:
        if given is not None:
            raise fields.unsupported("coeff", "coefficients are for SUM")
        return place.add(Mul() if operation == "PROD" else Add(), *place.inputs)
    if len(coefficients) != len(place.inputs) or not all(map(is_real, coefficients)):
        raise fields.wrong("coeff", f"a number for each of the {len(place.inputs)} bottoms")
    scaled = [
        x if factor == 1 else place.add(Rescale(float(factor)), x, part="coeff")
        for x, factor in zip(place.inputs, coefficients, strict=True)
    ]
    return place.add(Add(), *scaled)


def _broadcast(place: Place, factor: str) -> str:
    """A blob of the first axes of another, with axes of one element for the others."""
    sizes = place.draft.shape(factor)
    missing = len(place.shape) - len(sizes)
    if missing < 0 or sizes != place.shape[: len(sizes)]:
        raise place.unsupported(f"factors {sizes} do not begin the axes {place.shape}", "bottom")
    if not missing:
        return factor
    return place.add(Reshape((*sizes, *[1] * missing)), factor, part="reshape")


def _rescaled(place: Place, scale: float, shift: float) -> str:
    if (scale, shift) == (1, 0):
        return place.input
    return place.add(Rescale(scale, shift), place.input, part="scale")


def _log_base(place: Place, base: float) -> float:
    """The natural logarithm of a base; 1 for Caffe's -1, which is e."""
    if base == -1:
        return 1.0
    if base <= 0 or base == 1:
        raise place.unsupported(f"base {base} is neither -1 nor a positive number but 1", "base")
    return math.log(base)
