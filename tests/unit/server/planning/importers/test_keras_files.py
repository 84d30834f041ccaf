"""Keras files as text: the form of Keras 2, what is refused and how, and hostile ones."""

from __future__ import annotations

import json

import pytest
from convserve.errors import (
    InvalidArgumentError,
    InvalidNetworkError,
    TooLargeError,
    UnsupportedError,
)
from convserve.layers import BatchNorm, Conv, HardSigmoid, LeakyReLU, Permute
from convserve_server.planning.importers.keras import read_keras
from convserve_server.planning.limits import MAX_LAYERS


def layer(class_name, name, **config):
    return {"class_name": class_name, "config": {"name": name, **config}}


def chain(*layers, **outer):
    config = {"name": "sequential", "layers": list(layers)}
    return json.dumps({"class_name": "Sequential", "config": config, **outer}).encode()


def start(*shape, name="x"):
    return layer("InputLayer", name, batch_input_shape=[None, *shape], dtype="float32")


def conv(name="conv", **config):
    return layer("Conv2D", name, **{"filters": 4, "kernel_size": [3, 3], **config})


def old_graph(*layers, inputs, outputs):
    """A functional model of Keras 2: `reads` says which layers each one reads."""
    items = [
        {
            **item,
            "name": item["config"]["name"],
            "inbound_nodes": [[[name, 0, 0, {}] for name in reads]] if reads else [],
        }
        for item, reads in layers
    ]
    config = {
        "name": "model",
        "layers": items,
        "input_layers": [[name, 0, 0] for name in inputs],
        "output_layers": [[name, 0, 0] for name in outputs],
    }
    data = {"class_name": "Model", "config": config, "keras_version": "2.4.0"}
    return json.dumps(data).encode()


def test_a_sequential_of_keras_2():
    first = conv(batch_input_shape=[None, 28, 28, 1], activation="relu", kernel_initializer={})
    imported = read_keras(chain(first, layer("Dropout", "drop", rate=0.5), keras_version="2.2.4"))
    assert [each.name for each in imported.network.layers] == ["conv", "conv/relu"]
    assert imported.inputs[0].shape == (-1, 1, 28, 28)


def test_a_graph_of_keras_2_in_any_order():
    text = old_graph(
        (layer("Add", "sum"), ["a", "b"]),
        (conv("b", padding="same"), ["x"]),
        (conv("a", padding="same"), ["x"]),
        (start(8, 8, 3), []),
        inputs=["x"],
        outputs=["sum", "a"],
    )
    network = read_keras(text).network
    assert network.outputs == ("sum", "a")
    assert [each.name for each in network.layers] == ["b", "a", "sum"]


def test_rules_of_keras_2():
    layers = [
        start(8, 8, 3),
        layer("LeakyReLU", "leaky", alpha=0.25),
        layer("Activation", "hard", activation="hard_sigmoid"),
        layer("BatchNormalization", "norm", axis=[3], fused=True),
    ]
    leaky, hard, norm = read_keras(chain(*layers, keras_version="2.9.0")).network.layers
    assert leaky == LeakyReLU(0.25, name="leaky", inputs="x")
    assert (hard.alpha, hard.beta) == (0.2, 0.5)
    assert norm == BatchNorm(1e-3, name="norm", inputs="hard")
    (hard,) = read_keras(
        chain(start(4), layer("Activation", "h", activation="hard_sigmoid"))
    ).network.layers
    assert hard == HardSigmoid(name="h", inputs="x")


def test_one_permute_where_layouts_differ():
    network = read_keras(
        chain(
            start(8, 8, 8),
            conv(data_format="channels_last"),
            conv("first", data_format="channels_first"),
        )
    ).network
    assert [type(each) for each in network.layers] == [Conv, Permute, Conv, Permute]
    # Keras's second convolution takes the height for channels; the result returns as (N, C, H, W).
    assert network.layers[1].order == (2, 3, 1)


def image(*layers):
    return chain(start(8, 8, 3), *layers)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (b"", InvalidNetworkError, "not JSON"),
        (b"\xff{}", InvalidNetworkError, "not JSON"),
        (b"[1, 2]", InvalidNetworkError, "no Keras model"),
        (b'{"class_name": "Sequential"}', InvalidNetworkError, "config.layers"),
        (b"[" * 100_000, InvalidNetworkError, "nested"),
        (b'{"a":' * 100_000, InvalidNetworkError, "nested"),
        (b"1" * 5000, InvalidNetworkError, "not JSON"),
        (b"," * (1 << 21), TooLargeError, "limit"),
        (chain(), InvalidNetworkError, "no layers"),
        (chain(start(4)), InvalidNetworkError, "no layer that computes"),
        (chain(conv()), InvalidNetworkError, "does not say what it reads"),
        (image(layer("LSTM", "rnn", units=3)), UnsupportedError, "LSTM 'rnn'"),
        (image(conv(filters=True)), InvalidNetworkError, "filters is True"),
        (image(conv(filters=10**400)), InvalidNetworkError, "filters is"),
        (image(conv(strides=[0, 1])), InvalidNetworkError, "strides"),
        (image(conv(kernel_size=[3, 3, 3])), InvalidNetworkError, "2 integers"),
        (image(conv(padding="full")), UnsupportedError, "supported: valid"),
        (image(conv(padding="causal")), UnsupportedError, "causal"),
        (image(conv(activation="tanhshrink")), UnsupportedError, "tanhshrink"),
        (image(conv(lora_rank=4)), UnsupportedError, "lora_rank = 4"),
        (image(conv(dtype="mixed_float16")), UnsupportedError, "mixed_float16"),
        (chain(start(2, 2, 3), conv()), InvalidArgumentError, "layer 'conv': kernel 3"),
        (chain(start(8, 8, None), conv()), UnsupportedError, "channels open"),
        (chain(start(8, 3), conv()), UnsupportedError, "it needs 2"),
        (chain(start(8, 8, 8, 8, 3)), InvalidNetworkError, "batch_input_shape"),
        (image(layer("Reshape", "r", target_shape=[5, -1])), UnsupportedError, "192 elements"),
        (image(layer("ReLU", "r", threshold=1.0)), UnsupportedError, "threshold"),
        (image(layer("PReLU", "p", shared_axes=[1])), UnsupportedError, "per channel"),
        (image(layer("UpSampling2D", "u", interpolation="bicubic")), UnsupportedError, "bicubic"),
        (image(layer("LayerNormalization", "n", center=False)), UnsupportedError, "center"),
        (image(layer("BatchNormalization", "n", axis=0)), UnsupportedError, "axis 0"),
        (image(layer("TimeDistributed", "t")), InvalidNetworkError, "no layer"),
        (image(layer("TimeDistributed", "t", layer=conv())), UnsupportedError, "it needs 3"),
    ],
    ids=lambda value: value[:60].decode(errors="replace") if isinstance(value, bytes) else None,
)
def test_refusals_name_the_layer_and_what_is_wrong(text, error, says):
    with pytest.raises(error) as caught:
        read_keras(text)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_shared_weights_are_refused():
    text = old_graph(
        (start(8, 8, 4), []), (conv(padding="same"), ["x"]), inputs=["x"], outputs=["conv"]
    )
    data = json.loads(text)
    data["config"]["layers"][1]["inbound_nodes"].append([["conv", 0, 0, {}]])
    data["config"]["output_layers"] = [["conv", 1, 0]]
    with pytest.raises(UnsupportedError, match="called 2 times with the same weights"):
        read_keras(json.dumps(data).encode())


@pytest.mark.parametrize(
    ("reads", "says"),
    [(["sum", "x"], "waits for itself"), (["nobody"], "does not exist")],
)
def test_graphs_that_cannot_compute(reads, says):
    text = old_graph(
        (start(8, 8, 3), []), (layer("Add", "sum"), reads), inputs=["x"], outputs=["sum"]
    )
    with pytest.raises(InvalidNetworkError, match=says):
        read_keras(text)


def test_models_in_models_end():
    inner = layer("ReLU", "relu")
    for depth in range(20):
        inner = layer("Sequential", f"m{depth}", layers=[start(4, name=f"x{depth}"), inner])
    with pytest.raises(TooLargeError, match="nested more than 16 deep"):
        read_keras(chain(start(4), inner))


def test_a_model_called_again_and_again_ends():
    """3^15 calls of a layer that does nothing, in a file of a few kilobytes."""
    inner = layer("Dropout", "inner", rate=0.5)
    for _ in range(15):
        calls = [[["x", 0, 0, {}]], [["inner", 0, 0, {}]], [["inner", 1, 0, {}]]]
        config = {
            "name": "inner",
            "layers": [
                {**start(4), "name": "x", "inbound_nodes": []},
                {**inner, "name": "inner", "inbound_nodes": calls},
            ],
            "input_layers": [["x", 0, 0]],
            "output_layers": [["inner", 2, 0]],
        }
        inner = {"class_name": "Functional", "config": config}
    with pytest.raises(TooLargeError, match="calls of them"):
        read_keras(json.dumps(inner).encode())


def test_too_many_layers_are_refused():
    both = {"negative_slope": 0.5, "max_value": 1.0}  # which are two layers here
    layers = [layer("ReLU", f"r{n}", **both) for n in range(MAX_LAYERS // 2 + 1)]
    with pytest.raises(TooLargeError, match=f"limit of {MAX_LAYERS}"):
        read_keras(chain(start(4), *layers))
