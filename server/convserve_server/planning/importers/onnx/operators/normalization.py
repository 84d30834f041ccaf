"""Normalisation: by running statistics, by the input's own, and by neighbouring channels."""

from __future__ import annotations

import numpy as np
from convserve.errors import InvalidArgumentError
from convserve.layers import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm

from convserve_server.planning.importers.onnx.call import Call
from convserve_server.planning.importers.onnx.constants import Constant, filled

GROUP_NORM_PER_CHANNEL = 21  # the version from which scale and bias are per channel


def batch_norm(call: Call) -> None:
    """Inputs: X, scale, B, mean, var."""
    roles = ("weight", "bias", "running_mean", "running_var")
    weights = {role: call.constant(n, role) for n, role in enumerate(roles, 1)}
    if call.flag("training_mode") or not call.flag("spatial", default=True):
        call.refuse(
            "only inference with one mean and variance per channel is done: export the model in "
            "evaluation mode (training_mode 0, spatial 1)"
        )
    call.ignore("momentum")
    call.only(1)
    layer = BatchNorm(call.number("epsilon", 1e-5))
    call.put(call.add(layer, call.value(0), weights=weights))


def instance_norm(call: Call) -> None:
    """Inputs: X, scale, B."""
    layer = InstanceNorm(call.number("epsilon", 1e-5), affine=True)
    weights = {"weight": call.constant(1, "scale"), "bias": call.constant(2, "bias")}
    call.put(call.add(layer, call.value(0), weights=weights))


def group_norm(call: Call) -> None:
    """Inputs: X, scale, bias; up to opset 20 these are per group."""
    x, groups = call.value(0), call.integer("num_groups", 1)
    call.ignore("stash_type")
    weights = {"weight": call.constant(1, "scale"), "bias": call.constant(2, "bias")}
    if call.opset < GROUP_NORM_PER_CHANNEL:
        weights = {role: _per_channel(call, each, x.shape[0]) for role, each in weights.items()}
    layer = GroupNorm(groups, call.number("epsilon", 1e-5))
    call.put(call.add(layer, x, weights=weights))


def _per_channel(call: Call, constant: Constant, channels: int | None) -> Constant:
    values = call.building.array(constant)
    if channels is None or not values.size or channels % values.size:
        call.refuse(f"its {values.size} groups do not divide {channels} channels")
    return call.building.compute(np.repeat(values, channels // values.size))


def layer_norm(call: Call) -> None:
    """Inputs: X, Scale, B; normalised are the axes from `axis` on."""
    x = call.value(0)
    first = call.axis(call.integer("axis", -1), x.rank)
    call.ignore("stash_type")
    call.only(1)
    weight = call.constant(1, "scale")
    bias = call.optional(2, "bias") or filled(weight.dtype, weight.shape)
    layer = LayerNorm(x.rank - first, call.number("epsilon", 1e-5))
    call.put(call.add(layer, x, weights={"weight": weight, "bias": bias}))


def lrn(call: Call) -> None:
    """Across channels. The text of the standard has more of an even size behind each channel."""
    size = call.integer("size", 0)
    if size < 1:
        raise InvalidArgumentError(f"its size is {size}; it must be at least 1")
    layer = LocalResponseNorm(
        size,
        call.number("alpha", 1e-4),
        call.number("beta", 0.75),
        call.number("bias", 1.0),
        before=(size - 1) // 2,
    )
    call.put(call.add(layer, call.value(0)))


OPERATORS = {
    "BatchNormalization": batch_norm,
    "InstanceNormalization": instance_norm,
    "GroupNormalization": group_norm,
    "LayerNormalization": layer_norm,
    "LRN": lrn,
}
