"""Every Keras layer that is read: shapes, weights and values as Keras's own package has them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from convserve_server.planning.importers.keras.convolution import transposed_crop

from tests.keras_models import assert_same_as_keras, import_model, keras

L = keras.layers
ACTIVATIONS = (
    "exponential", "gelu", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu", "linear", "mish",
    "relu6", "selu", "sigmoid", "silu", "softmax", "softplus",
)  # fmt: skip
SHAPES = {1: (11, 4), 2: (9, 8, 4), 3: (6, 5, 7, 4)}


def model_of(*layers, shape):
    return keras.Sequential([keras.Input(shape), *layers])


def kinds(imported):
    return [type(layer).__name__ for layer in imported.network.layers]


def window_layers():
    for rank in (1, 2, 3):
        conv, transpose = getattr(L, f"Conv{rank}D"), getattr(L, f"Conv{rank}DTranspose")
        yield rank, conv(6, 3)
        yield rank, conv(6, 4, strides=2, padding="same", activation="relu")
        yield rank, conv(4, 3, groups=2, dilation_rate=2, padding="same", use_bias=False)
        yield rank, transpose(3, 3, strides=2, padding="same")
        yield rank, transpose(3, 2, strides=3, padding="valid", activation="tanh")
        yield rank, getattr(L, f"MaxPooling{rank}D")(3, strides=2, padding="same")
        yield rank, getattr(L, f"MaxPooling{rank}D")()
        # Keras on torch repeats the border where `same` is not symmetric; its others leave it out.
        yield rank, getattr(L, f"AveragePooling{rank}D")(3, strides=1, padding="same")
        yield rank, getattr(L, f"AveragePooling{rank}D")(3, strides=2)
        yield rank, getattr(L, f"GlobalAveragePooling{rank}D")()
        yield rank, getattr(L, f"GlobalMaxPooling{rank}D")(keepdims=True)
        yield rank, getattr(L, f"AdaptiveAveragePooling{rank}D")(3)
        yield rank, getattr(L, f"ZeroPadding{rank}D")(2)
        yield rank, getattr(L, f"Cropping{rank}D")(1)
        yield rank, getattr(L, f"UpSampling{rank}D")(2)
        yield rank, getattr(L, f"SpatialDropout{rank}D")(0.5)
    for rank in (1, 2):
        depthwise, separable = (
            getattr(L, f"DepthwiseConv{rank}D"),
            getattr(L, f"SeparableConv{rank}D"),
        )
        yield rank, depthwise(3, depth_multiplier=2, strides=2, padding="same")
        yield rank, separable(5, 3, depth_multiplier=2, padding="same", activation="elu")
    yield 1, L.Conv1D(5, 3, padding="causal", dilation_rate=2)
    yield 1, L.Conv1D(5, 3, padding="causal", strides=2)
    yield 2, L.Conv2D(5, (3, 1), strides=(2, 1), padding="same")
    yield 2, L.ZeroPadding2D(((1, 2), (0, 3)))
    yield 2, L.Cropping2D(((0, 1), (2, 0)))
    yield 1, L.Cropping1D((0, 3))
    yield 1, L.ZeroPadding1D((2, 1))
    yield 2, L.UpSampling2D((2, 3), interpolation="bilinear")


def other_layers():
    for name in ACTIVATIONS:
        yield L.Activation(name)
    yield L.ReLU(max_value=0.5)
    yield L.ReLU(negative_slope=0.2, max_value=0.5)
    yield L.LeakyReLU(0.1)
    yield L.PReLU(shared_axes=[1, 2])
    yield L.ELU(0.7)
    yield L.Softmax(axis=1)
    yield L.BatchNormalization()
    yield L.BatchNormalization(scale=False)
    yield L.BatchNormalization(center=False, scale=False)
    yield L.LayerNormalization()
    yield L.LayerNormalization(axis=[2, 3], center=False, scale=False)
    yield L.GroupNormalization(2)
    yield L.GroupNormalization(-1)
    yield L.Rescaling(2.0, offset=-1.0)
    yield L.Dense(5, activation="relu")
    yield L.Flatten()
    yield L.Reshape((3, 24, 4))
    yield L.Reshape((-1, 4))
    yield L.Permute((2, 3, 1))
    yield L.Dropout(0.5)
    yield L.GaussianNoise(0.1)


def show(value):
    return value.name if isinstance(value, L.Layer) else str(value)


@pytest.mark.parametrize(("rank", "layer"), list(window_layers()), ids=show)
def test_layers_of_windows(rank, layer):
    assert_same_as_keras(
        model_of(L.Conv1D(4, 1) if rank == 1 else L.Dense(4), layer, shape=SHAPES[rank])
    )


@pytest.mark.parametrize("layer", list(other_layers()), ids=show)
def test_other_layers(layer):
    assert_same_as_keras(model_of(L.Conv2D(4, 1), layer, shape=SHAPES[2]))


@pytest.mark.parametrize(
    "layer",
    [
        L.Conv2D(5, 3, strides=2, padding="same"),
        L.Conv2DTranspose(5, 3, strides=2, padding="same"),
        L.Conv1D(5, 3),
        L.DepthwiseConv2D(3),
        L.MaxPooling2D(),
        L.AveragePooling2D(2, padding="same"),
        L.GlobalAveragePooling2D(),
        L.GlobalMaxPooling2D(keepdims=True),
        L.ZeroPadding2D(1),
        L.Cropping2D(1),
        L.UpSampling2D(2),
        L.BatchNormalization(),
        L.Dense(7),
        L.Flatten(),
        L.Reshape((4, -1)),
        L.Activation("relu"),
        L.BatchNormalization(axis=3),
        L.LayerNormalization(axis=[1, 2, 3]),
        L.PReLU(shared_axes=[1, 2]),
        L.TimeDistributed(L.Dense(3)),
    ],
    ids=show,
)
def test_time_distributed_joins_no_steps(layer):
    shape = (3, 8, 4) if isinstance(layer, L.Conv1D) else (3, 6, 8, 4)
    if isinstance(layer, L.Dense):
        shape = (3, 4)
    if isinstance(layer, L.TimeDistributed):
        shape = (3, 5, 4)
    assert_same_as_keras(model_of(L.TimeDistributed(layer), shape=shape))


def test_time_distributed_conv2d_is_a_conv3d_of_one_step():
    (layer,) = import_model(
        model_of(L.TimeDistributed(L.Conv2D(6, 3)), shape=(5, 32, 32, 1))
    ).network.layers
    assert layer.kernel_size == (1, 3, 3)


@pytest.mark.parametrize("mode", ["valid", "same"])
@pytest.mark.parametrize("extra", [None, 0, 1])
def test_transposed_sizes_are_keras_own(mode, extra):
    for kernel, stride in itertools.product((1, 2, 3, 4, 7), (1, 2, 3)):
        if extra is not None and extra >= stride:
            continue
        low, high = transposed_crop(mode, kernel, stride, extra)
        layer = L.Conv1DTranspose(1, kernel, strides=stride, padding=mode, output_padding=extra)
        assert layer.compute_output_shape((1, 5, 1))[1] == 4 * stride + kernel - low - high


@pytest.mark.parametrize("extra", [None, 0, 1])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_transposed_values_with_output_padding(kernel, extra):
    layer = L.Conv2DTranspose(2, kernel, strides=2, padding="same", output_padding=extra)
    assert_same_as_keras(model_of(layer, shape=(4, 5, 3)))


def test_channels_first_layers_among_last_ones():
    inputs = keras.Input((3, 8, 9))
    x = L.Conv2D(4, 3, data_format="channels_first")(inputs)
    x = L.BatchNormalization(axis=1)(x)
    x = L.Permute((2, 3, 1))(x)
    x = L.Conv2D(5, 3, data_format="channels_last")(x)
    model = keras.Model(inputs, L.Flatten(data_format="channels_last")(x))
    imported = import_model(model)
    assert imported.inputs[0].shape == (-1, 3, 8, 9)
    # Nothing moves until the flattening, which is in Keras's order.
    assert kinds(imported) == ["Conv", "BatchNorm", "Conv", "Permute", "Flatten"]


def test_flatten_keeps_keras_order_of_features():
    imported = assert_same_as_keras(
        model_of(L.Conv2D(4, 2), L.Flatten(), L.Dense(3), shape=(4, 5, 2))
    )
    assert kinds(imported) == ["Conv", "Permute", "Flatten", "Dense"]


def test_features_are_normalized():
    layers = L.Dense(6), L.BatchNormalization(), L.LayerNormalization(), L.Dense(2), L.Softmax()
    assert_same_as_keras(model_of(*layers, shape=(5,)))


def test_sequences_of_features():
    layers = L.Dense(6), L.Conv1D(4, 3), L.LayerNormalization(), L.Dense(3), L.Flatten(), L.Dense(2)
    assert_same_as_keras(model_of(*layers, shape=(9, 5)))


def test_squeeze_and_excitation_moves_no_axis():
    inputs = keras.Input((6, 6, 4))
    x = L.Conv2D(8, 3, padding="same")(inputs)
    s = L.Reshape((1, 1, 8))(L.GlobalAveragePooling2D()(x))
    s = L.Conv2D(8, 1, activation="sigmoid")(L.Conv2D(2, 1, activation="relu")(s))
    imported = assert_same_as_keras(keras.Model(inputs, L.Multiply()([x, s])))
    assert "Permute" not in kinds(imported)


def test_merges_and_operators():
    a, b = keras.Input((5, 4), name="a"), keras.Input((5, 4), name="b")
    x = L.Concatenate()([L.Add()([a, b]), L.Subtract()([a, b]), L.Multiply()([a, b])])
    y = L.Average()([L.Conv1D(6, 1)(x), L.Conv1D(6, 1)(x)])
    assert_same_as_keras(keras.Model([a, b], (2.0 - y * 3.0 + 1.0) / 4.0 - 0.5))


def test_concatenate_along_a_spatial_axis():
    inputs = keras.Input((5, 6, 2))
    x = L.Conv2D(3, 1)(inputs)
    assert_same_as_keras(keras.Model(inputs, L.Concatenate(axis=2)([x, x])))


def test_nested_models_are_flattened():
    block = keras.Sequential(
        [keras.Input((8, 4)), L.Conv1D(4, 3, padding="same"), L.ReLU()], name="block"
    )
    inputs = keras.Input((8, 4))
    imported = assert_same_as_keras(keras.Model(inputs, L.Add()([inputs, block(inputs)])))
    assert imported.network.layers[0].name == "block/conv1d" or kinds(imported)[0] == "Conv"


def test_layers_without_weights_may_be_called_again():
    inputs = keras.Input((8, 4))
    relu = L.ReLU(name="relu")
    x = relu(L.Conv1D(4, 1)(relu(inputs)))
    imported = assert_same_as_keras(keras.Model(inputs, x))
    assert [layer.name for layer in imported.network.layers][::2] == ["relu", "relu_2"]


def test_an_adapted_normalization():
    model = model_of(L.Conv2D(3, 1), L.Normalization(), shape=(4, 4, 3))
    imported = import_model(model)
    assert kinds(imported) == ["Conv", "BatchNorm"]
    assert any("'count'" in note for note in imported.notes)


def test_a_normalization_of_constants_says_them():
    model = model_of(L.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0]), shape=(4, 2))
    assert any("[1.0, 2.0] and [4.0, 9.0]" in note for note in import_model(model).notes)


def test_open_sizes_are_told_and_decide_nothing():
    model = model_of(L.Conv2D(4, 3), L.GlobalAveragePooling2D(), shape=(None, None, 3))
    imported = import_model(model)
    assert imported.inputs[0].shape == (-1, 3, 0, 0)


def test_names_keep_what_is_allowed():
    model = model_of(L.Conv1D(2, 1, name="a b:c"), L.Conv1D(2, 1, name="a_b_c"), shape=(4, 2))
    assert [layer.name for layer in import_model(model).network.layers] == ["a_b_c", "a_b_c_2"]


def test_the_1d_network_of_9100_weights():
    model = model_of(L.Conv1D(100, 10), shape=(128, 9))
    imported = import_model(model)
    assert np.prod(imported.inputs[0].shape[1:]) == 9 * 128
    assert_same_as_keras(model)
