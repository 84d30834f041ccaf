"""Keras as the oracle: the same model imported, planned and run, beside Keras's own answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from convserve.plans import LayerPlan, Plan
from convserve.tensors import Array
from convserve_server.engines.reference.engine import ReferenceEngine
from convserve_server.planning.importers.imported import Imported
from convserve_server.planning.importers.keras import read_keras

from tests.planning import plan
from tests.running import run_once

os.environ["KERAS_BACKEND"] = "torch"  # read once, when Keras is imported
import keras

__all__ = ["keras"]

ROLES = {
    "weight": ("kernel", "gamma", "alpha", "variable"),
    "bias": ("bias", "beta"),
    "running_mean": ("moving_mean", "mean"),
    "running_var": ("moving_variance", "variance"),
    "depthwise_weight": ("depthwise_kernel",),
    "pointwise_weight": ("pointwise_kernel",),
}


def import_model(model: keras.Model) -> Imported:
    """What the importer makes of the model's JSON."""
    return read_keras(model.to_json().encode())


def plan_imported(imported: Imported, *shapes: tuple[int, ...]) -> Plan:
    """The plan for the file's shapes with one sample, or for others."""
    given = shapes or tuple((1, *spec.shape[1:]) for spec in imported.inputs)
    return plan(imported.network, *given)


def count_elements(planned: Plan) -> int:
    """All elements of all weights, statistics included, as Keras counts."""
    return sum(spec.element_count for layer in planned.layers for spec in layer.parameters)


def channels_first(array: Array) -> Array:
    return np.moveaxis(array, -1, 1)


def flat_layers(model: keras.Model, prefix: str = "") -> Iterator[tuple[str, keras.layers.Layer]]:
    """Every layer by the name that it has here; TimeDistributed under its own, as what it holds."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from flat_layers(layer, f"{prefix}{layer.name}/")
        elif isinstance(layer, keras.layers.TimeDistributed):
            yield prefix + layer.name, layer.layer
        else:
            yield prefix + layer.name, layer


def randomize(model: keras.Model, seed: int = 0) -> None:
    """Weights that no mistake survives; variances and the like are positive."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(rng.uniform(0.1, 1, variable.shape).astype(variable.dtype))


def weights_of(model: keras.Model, planned: Plan) -> dict[str, Array]:
    """The model's weights under their names here and in the layouts here."""
    layers = dict(flat_layers(model))
    found = {}
    for layer in planned.layers:
        for spec in layer.parameters:
            own, _, role = spec.name.rpartition(".")
            value = _variable(layers[own], role)
            found[spec.name] = _laid_out(layer, role, value).reshape(spec.shape)
    return found


def _variable(layer: keras.layers.Layer, role: str) -> Array:
    by_name = {v.path.rpartition("/")[2]: v.value.detach().numpy() for v in layer.weights}
    if role == "weight" and "depthwise_kernel" not in by_name and "kernel" not in by_name:
        (name,) = [n for n in by_name if n.startswith(ROLES["weight"])]
        return by_name[name]
    if role == "weight":
        return by_name.get("kernel", by_name.get("depthwise_kernel"))
    (name,) = [n for n in ROLES[role] if n in by_name]
    return by_name[name]


def _laid_out(layer: LayerPlan, role: str, value: Array) -> Array:
    """Keras keeps (*kernel, in, out), transposed (*kernel, out, in), depthwise (*kernel, C, m)."""
    if not role.endswith("weight") or value.ndim < 2 or layer.kind not in LAYOUTS:
        return value
    return LAYOUTS[layer.kind](value, role)


def _last_two_first(value: Array) -> Array:
    return np.moveaxis(value, (-2, -1), (0, 1))


def _depthwise(value: Array, role: str) -> Array:
    moved = _last_two_first(value)
    if role == "pointwise_weight":
        return np.swapaxes(moved, 0, 1)
    return moved.reshape(-1, 1, *moved.shape[2:])


LAYOUTS: dict[str, Any] = {
    "conv": lambda value, _: np.moveaxis(value, (-1, -2), (0, 1)),
    "dense": lambda value, _: value.T,
    "conv_transpose": lambda value, _: np.moveaxis(value, (-1, -2), (0, 1)),
    "depthwise_conv": _depthwise,
    "separable_conv": _depthwise,
}


def assert_same_as_keras(model: keras.Model, *, batch: int = 2) -> Imported:
    """Shapes, number of weights and values of the model, here and in Keras."""
    randomize(model)
    imported = import_model(model)
    shapes = [tuple(batch if n is None else n for n in t.shape) for t in model.inputs]
    rng = np.random.default_rng(1)
    arrays = [rng.uniform(-1, 1, shape).astype(np.float32) for shape in shapes]
    planned = plan_imported(imported, *(channels_first(array).shape for array in arrays))
    assert count_elements(planned) == model.count_params()
    expected = channels_first(model(arrays if len(arrays) > 1 else arrays[0]).detach().numpy())
    tensors = dict(zip(imported.network.inputs, map(channels_first, arrays), strict=True))
    actual = run_once(ReferenceEngine(), imported.network, tensors | weights_of(model, planned))
    assert planned.outputs[0].shape == actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-4)
    assert_shapes(model, planned, batch)
    return imported


def assert_shapes(model: keras.Model, planned: Plan, batch: int) -> None:
    """What every layer of Keras's became has its result's shape, channels first or as there."""
    here: dict[str, tuple[int, ...]] = {}
    for planned_layer in planned.layers:
        for name in _owners(planned_layer.name):
            here[name] = planned_layer.output.shape
    for name, layer in flat_layers(model):
        if name in here and not isinstance(layer, keras.layers.InputLayer):
            try:
                shape = tuple(batch if n is None else n for n in layer.output.shape)
            except (AttributeError, ValueError):  # of TimeDistributed, or called more than once
                continue
            first = (shape[0], shape[-1], *shape[1:-1])
            assert here[name] in (first, shape), name


def _owners(name: str) -> list[str]:
    """The layer itself, and those of which it may be a part: `pool/flatten` belongs to `pool`."""
    if name.endswith("/permute"):  # what the next layer needs
        return []
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
