"""Keras Applications' convolutional classifiers, built by Keras without weights, as published."""

from __future__ import annotations

import json
import math
from importlib import import_module
from pathlib import Path

import pytest

from tests.keras_models import count_elements, import_model, keras, plan_imported

PUBLISHED = json.loads(Path("tests/data/known_tables.json").read_text())["keras_applications"]
ROWS = {row["model"]: row["params"] for row in PUBLISHED["rows"]}

# One of each family; the others behind `make published`.
FEW = (
    "ConvNeXtTiny", "EfficientNetB0", "InceptionV3", "MobileNet", "MobileNetV2",
    "MobileNetV3Small", "ResNet50", "VGG16", "Xception",
)  # fmt: skip
MANY = (
    "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtXLarge",
    *(f"DenseNet{n}" for n in (121, 169, 201)), *(f"EfficientNetB{n}" for n in range(1, 8)),
    *(f"EfficientNetV2B{n}" for n in range(4)), "EfficientNetV2L", "EfficientNetV2M",
    "EfficientNetV2S", "InceptionResNetV2", "MobileNetV3Large", "NASNetLarge", "NASNetMobile",
    "ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2", "ResNet50V2", "VGG19",
)  # fmt: skip


def build(name):
    """The model without values. Keras refuses NASNetMobile on torch by its name alone."""
    with keras.device("meta"):
        if name == "NASNetMobile":
            nasnet = import_module("keras.src.applications.nasnet")
            return nasnet.NASNet(
                (224, 224, 3), 1056, 4, 32, False, 2, weights=None, default_size=224
            )
        return getattr(keras.applications, name)(weights=None)


def beside(model):
    """Keras's weights minus ours: its count of samples, and our statistics for its constants."""
    layers = [each for each in model.layers if isinstance(each, keras.layers.Normalization)]
    return sum(1 if each.input_mean is None else -6 for each in layers)


def check(name):
    model = build(name)
    planned = plan_imported(import_model(model), (1, 3, *(model.input_shape[1] or 224,) * 2))
    assert planned.outputs[0].shape == (1, 1000)
    assert count_elements(planned) == model.count_params() - beside(model)
    trained = sum(math.prod(each.shape) for each in model.trainable_weights)
    assert planned.parameter_count == trained
    assert model.count_params() == ROWS.get(name, model.count_params())


@pytest.mark.parametrize("name", FEW)
def test_counts(name):
    check(name)


@pytest.mark.published
@pytest.mark.parametrize("name", MANY)
def test_counts_of_the_others(name):
    check(name)


def test_every_published_row_is_checked():
    assert set(ROWS) <= {*FEW, *MANY}


def test_every_layer_of_mobilenet_has_the_shape_that_keras_says():
    model = build("MobileNetV2")
    planned = plan_imported(import_model(model))
    here = {layer.name: layer.output.shape for layer in planned.layers}
    checked = 0
    for layer in model.layers:
        shape = layer.output.shape
        if layer.name in here and len(shape) == 4:
            assert here[layer.name] == (1, shape[3], *shape[1:3])
            checked += 1
    assert checked > 100
