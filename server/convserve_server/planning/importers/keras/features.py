"""Keras's dense layer and its normalisations."""

from __future__ import annotations

from typing import Any

from convserve.errors import UnsupportedError
from convserve.layers import BatchNorm, Conv, Dense, GroupNorm, LayerNorm, Rescale, Scale
from convserve.layers.fields import MAX_SPATIAL_RANK, Ints

from convserve_server.planning.importers.fields import MAX_ITEMS
from convserve_server.planning.importers.keras.activation import activate
from convserve_server.planning.importers.keras.call import Call
from convserve_server.planning.importers.keras.values import Value, arrange, keras_order

_EPSILON = 1e-3  # Keras's default for every normalisation
_TINY = 1e-14  # Normalization divides by sqrt(variance), or by 1e-7 where that is more


def connect(call: Call) -> Value:
    """Dense, over the last axis. Where that is the channels of a spatial tensor: a 1x1 Conv."""
    fields, x = call.fields, call.input
    units, bias = fields.integer("units", low=1), fields.flag("use_bias", True)
    if x.order[0] == x.rank and 1 <= x.rank - 1 <= MAX_SPATIAL_RANK:
        return activate(call, call.add(Conv(units, 1, bias=bias), x))
    if x.order[-1] != x.rank:
        x = arrange(call.draft, x, keras_order(x.rank))
    return activate(call, call.add(Dense(units, bias), x))


def normalize_batch(call: Call) -> Value:
    """BatchNormalization with its moving statistics."""
    call.fields.ignore(
        "momentum", "synchronized", "fused", "renorm", "renorm_clipping", "renorm_momentum",
        "virtual_batch_size", "beta_test", "gamma_test", "adjustment",
    )  # fmt: skip
    layer = BatchNorm(
        call.fields.real("epsilon", _EPSILON),
        weight=call.fields.flag("scale", True),
        bias=call.fields.flag("center", True),
    )
    return call.add(layer, _channels_at(call, _axes(call, -1)))


def normalize_layer(call: Call) -> Value:
    """LayerNormalization: its axes last, in Keras's order."""
    call.fields.require("rms_scaling", (False,), "normalisation by the root mean square alone")
    x = call.input
    axes = tuple(sorted(_axes(call, -1)))
    order = (*(axis for axis in keras_order(x.rank) if axis not in axes), *axes)
    layer = LayerNorm(len(axes), call.fields.real("epsilon", _EPSILON), _affine(call))
    return call.add(layer, call.arranged(order))


def normalize_group(call: Call) -> Value:
    """GroupNormalization; -1 groups are as many as there are channels."""
    x = _channels_at(call, _axes(call, -1))
    every = call.fields.get("groups") == -1
    groups = x.sizes[0] if every else call.fields.integer("groups", 32, low=1)
    return call.add(GroupNorm(groups, call.fields.real("epsilon", _EPSILON), _affine(call)), x)


def normalize_data(call: Call) -> Value:
    """Normalization by a mean and variance per channel: a BatchNorm without weight and bias."""
    call.fields.require("invert", (False,), "the inverse of a normalisation")
    x = _channels_at(call, _axes(call, -1))
    y = call.add(BatchNorm(_TINY, weight=False, bias=False), x)
    values = [call.fields.get(name) for name in ("mean", "variance")]
    if values == [None, None]:
        note = "its weight 'count', which counts samples, has no counterpart"
    else:
        note = f"set its running_mean and running_var to the file's: {_listed(call, values)}"
    call.draft.note(f"{y.name}: {note}")
    return y


def rescale(call: Call) -> Value:
    """Rescaling: x * scale + offset."""
    layer = Rescale(call.fields.real("scale"), call.fields.real("offset", 0.0))
    return call.add(layer, call.input)


def scale_channels(call: Call) -> Value:
    """LayerScale, a layer of Keras's ConvNeXt: a learnt factor per channel."""
    size = call.fields.integer("projection_dim", low=1)
    call.fields.ignore("init_values")
    x = _channels_at(call, (call.input.rank,))
    if x.sizes[0] != size:
        raise call.fields.wrong("projection_dim", f"the number of channels, {x.sizes[0]}")
    return call.add(Scale(bias=False), x)


def _axes(call: Call, default: int) -> Ints:
    """The field `axis`: one, or a list of them."""
    value: Any = call.fields.get("axis")
    items = value if isinstance(value, list) else [default if value is None else value]
    if not items or not all(type(axis) is int for axis in items):
        raise call.fields.wrong("axis", "an axis, or a list of them")
    return tuple(dict.fromkeys(map(call.axis, items)))


def _channels_at(call: Call, axes: Ints) -> Value:
    """The input with the only one of `axes` as its channels, the others as they are."""
    if len(axes) != 1:
        raise call.fields.unsupported("axis", "statistics of one axis, the channels")
    rest = tuple(axis for axis in call.input.order if axis != axes[0])
    return call.arranged((axes[0], *rest))


def _affine(call: Call) -> bool:
    """Whether there are gamma and beta: both or none of them."""
    both = (call.fields.flag("scale", True), call.fields.flag("center", True))
    if both[0] != both[1]:
        raise call.fields.unsupported("center", "scale and center must be both true or both false")
    return both[0]


def _listed(call: Call, values: list[Any]) -> str:
    for name, value in zip(("mean", "variance"), values, strict=True):
        if not isinstance(value, int | float | list) or len(str(value)) > 64 * MAX_ITEMS:
            raise UnsupportedError(
                f"{call.fields.where}: {name} is not a number, or a short list of them", field=name
            )
    return " and ".join(map(str, values))
