"""Graphs: names, inputs, sizes that are computed, and what is refused with its place."""

import numpy as np
import pytest
from convserve.errors import (
    ConvserveError,
    InvalidArgumentError,
    InvalidNetworkError,
    ShapeError,
    UnsupportedError,
)
from convserve.layers import Conv, Dense, Flatten, ReLU, Reshape, Scale, Slice, Upsample
from convserve_server.planning.importers.onnx.operators import OPERATORS
from onnx import TensorProto, helper

from tests.onnx_models import make_model, node, read

W = np.zeros((6, 4, 3, 3), np.float32)


def ints(*numbers):
    return np.array(numbers, np.int64)


def layers_of(*nodes, shape=(1, 4, 6, 6), **constants):
    return read(make_model(*nodes, inputs={"x": shape}, constants=constants)).network.layers


def test_layers_are_named_after_nodes_or_their_results():
    nodes = (
        node("Conv", "x w", "a", name="/block/conv 1"),
        node("Relu", "a", "17"),
        node("Relu", "17", "b", name="/block/conv 1"),
        node("Relu", "b", "input"),
        node("Relu", "input", "y" * 200),
    )
    model = make_model(*nodes, inputs={"x:0": (1, 4, 6, 6)}, outputs=["y" * 200])
    model.graph.node[0].input[0] = "x:0"
    imported = read(with_weight(model))
    assert imported.inputs[0].name == "x_0"
    assert [layer.name for layer in imported.network.layers] == [
        "block/conv_1", "Relu_1", "block/conv_1_2", "input_2", "y" * 100
    ]  # fmt: skip


def with_weight(model):
    model.graph.initializer.append(helper.make_tensor("w", 1, W.shape, W.reshape(-1)))
    return model


def test_only_what_the_outputs_need_is_read():
    nodes = (
        node("Relu", "x"),
        node("NonMaxSuppression", "x x", "boxes"),
        node("Loop", "boxes", "z"),
    )
    model = make_model(*nodes, inputs={"x": (1, 4), "unread": (3,)})
    imported = read(model)
    assert [type(layer) for layer in imported.network.layers] == [ReLU]
    assert [spec.name for spec in imported.inputs] == ["x"]


def test_initializers_among_the_inputs_are_no_inputs():
    model = make_model(node("Conv", "x w"), inputs={"x": (1, 4, 6, 6), "w": W.shape})
    imported = read(with_weight(model))
    assert [spec.name for spec in imported.inputs] == ["x"]


def test_several_inputs_and_outputs():
    model = make_model(
        node("Add", "x z", "sum"),
        node("Relu", "sum", "y"),
        inputs={"x": (1, 4), "z": (1, 4)},
        outputs=["y", "sum"],
    )
    network = read(model).network
    assert (network.inputs, network.outputs) == (("x", "z"), ("y", "sum"))


@pytest.mark.parametrize(
    ("told", "shape"),
    [
        ((1, 4, 6, 6), (1, 4, 6, 6)),
        (("N", 4, 6, 6), (-1, 4, 6, 6)),
        ((None, 4, "H", "W"), (-1, 4, 0, 0)),
        ((0, 4, 6, 6), (-1, 4, 6, 6)),
        ((-1, 4, 6, 6), (-1, 4, 6, 6)),
    ],
)
def test_shapes_of_inputs(told, shape):
    model = with_weight(make_model(node("Conv", "x w"), inputs={"x": told}))
    assert read(model).inputs[0].shape == shape


def test_given_shapes_replace_those_of_the_file():
    model = with_weight(make_model(node("Conv", "x w"), inputs={"x": (1, 4, 6, 6)}))
    for shapes in ({"x": (-1, 4, 9, 9)}, {"": (-1, 4, 9, 9)}):
        assert read(model, shapes).inputs[0].shape == (-1, 4, 9, 9)
    with pytest.raises(InvalidArgumentError, match="'z' is not one of the inputs x"):
        read(model, {"z": (1,)})


# Sizes that are computed from the sizes of other tensors, as exporters write them.

VIEW = (
    node("Shape", "x", "s"),
    node("Gather", "s zero", "n", axis=0),
    node("Unsqueeze", "n axes", "n1"),
    node("Concat", "n1 rest", "shape", axis=0),
    node("Reshape", "x shape"),
)


@pytest.mark.parametrize("batch", [1, 7, "N"])
def test_a_view_keeps_any_batch(batch):
    model = make_model(
        *VIEW,
        inputs={"x": (batch, 4, 6, 6)},
        constants={"zero": np.int64(0), "axes": ints(0), "rest": ints(-1)},
    )
    (layer,) = read(model).network.layers
    assert isinstance(layer, Flatten)


def test_an_open_size_is_no_hindrance_where_nothing_needs_it():
    model = make_model(
        *VIEW,
        inputs={"x": ("N", 4, "H", "W")},
        constants={"zero": np.int64(0), "axes": ints(0), "rest": ints(4, 2, -1)},
    )
    (layer,) = read(model).network.layers
    assert layer == Reshape((4, 2, -1), name=layer.name, inputs=("x",))


def shuffle_nodes():
    """The channel shuffle of ShuffleNet, as PyTorch exports x.size()."""
    return (
        node("Shape", "x", "s"),
        *(node("Gather", f"s i{n}", f"d{n}", axis=0) for n in range(4)),
        node("Div", "d1 two", "half"),
        *(node("Unsqueeze", f"{name} i0v", f"{name}u") for name in ("d0", "half", "d2", "d3")),
        node("Concat", "d0u twov halfu d2u d3u", "split", axis=0),
        node("Reshape", "x split", "a"),
        node("Transpose", "a", "b", perm=[0, 2, 1, 3, 4]),
        node("Unsqueeze", "d1 i0v", "d1u"),
        node("Concat", "d0u d1u d2u d3u", "join", axis=0),
        node("Reshape", "b join"),
    )


def test_the_channel_shuffle():
    constants = {f"i{n}": np.int64(n) for n in range(4)}
    constants |= {"two": np.int64(2), "i0v": ints(0), "twov": ints(2)}
    model = make_model(*shuffle_nodes(), inputs={"x": ("N", 6, 4, 4)}, constants=constants)
    first, _, last = read(model).network.layers
    assert (first.shape, last.shape) == ((2, 3, 4, 4), (6, 4, 4))


def test_a_resize_to_the_size_of_another_tensor():
    nodes = (
        node("MaxPool", "x", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Shape", "x", "s", start=2),
        node("Cast", "s", "f", to=TensorProto.FLOAT),
        node("Cast", "f", "i", to=TensorProto.INT64),
        node("Shape", "p", "q", end=2),
        node("Concat", "q i", "sizes", axis=0),
        node("Resize", "p _ _ sizes", mode="nearest"),
    )
    _, layer = read(make_model(*nodes, inputs={"x": ("N", 4, 6, 8)})).network.layers
    assert isinstance(layer, Upsample)
    assert layer.size == (6, 8)


def test_computing_with_the_batch_is_refused():
    model = make_model(
        node("Shape", "x", "s"),
        node("Mul", "s two", "t"),
        node("Reshape", "x t"),
        inputs={"x": ("N", 4)},
        constants={"two": ints(2)},
    )
    with pytest.raises(UnsupportedError, match="computes with the batch"):
        read(model)


def test_an_open_size_that_must_be_known_is_asked_for():
    model = make_model(
        node("Shape", "x", "s"), node("Reshape", "x s"), inputs={"x": ("N", 4, "H", "W")}
    )
    with pytest.raises(UnsupportedError, match="give the shapes of the inputs"):
        read(model)
    (layer,) = read(model, {"x": (-1, 4, 6, 6)}).network.layers  # now it is x itself
    assert layer == Slice(1, name="y", inputs=("x",))


# Constants that meet tensors.


def test_a_bias_joins_the_layer_before():
    conv = node("Conv", "x w", "c")
    (layer,) = layers_of(conv, node("Add", "c b"), w=W, b=np.zeros((6, 1, 1), np.float32))
    assert isinstance(layer, Conv)
    assert layer.bias
    (layer,) = layers_of(
        *(node("MatMul", "x w", "m"), node("Add", "m b")),
        shape=(1, 9, 4), w=np.zeros((4, 5), np.float32), b=np.zeros(5, np.float32),
    )  # fmt: skip
    assert isinstance(layer, Dense)
    assert layer.bias


def test_a_bias_of_a_result_that_others_read_is_a_scale():
    nodes = (
        node("Conv", "x w", "c"),
        node("Add", "c b", "d"),
        node("Add", "c d"),
    )
    kinds = [type(layer) for layer in layers_of(*nodes, w=W, b=np.zeros((6, 1, 1), np.float32))]
    assert kinds[:2] == [Conv, Scale]


def test_a_bias_joins_a_factor_along_the_same_axis():
    """The layer scale of ConvNeXt, which computes channels last."""
    gamma, beta = np.zeros(6, np.float32), np.zeros((6, 1), np.float32)
    nodes = node("Mul", "x g", "m"), node("Add", "m b")
    (layer,) = layers_of(*nodes, g=gamma, b=gamma)
    assert (layer.bias, layer.axis) == (True, 3)
    first, second = layers_of(*nodes, g=gamma, b=beta)
    assert (first.axis, second.axis) == (3, 2)


@pytest.mark.parametrize(
    ("op", "shape", "message"),
    [
        ("Mul", (6, 6), "(6, 6) meets a tensor of 4 axes"),
        ("Mul", (2, 1, 1, 1), "(2, 1, 1, 1) meets a tensor of 4 axes"),
        ("Add", (1, 1, 1, 1, 1), "more axes than the tensor, 4"),
        ("Sub", (1, 1, 4, 1, 1), "more axes than the tensor, 4"),
        ("Div", (1,) * 6, "more axes than the tensor, 4"),
        ("Pow", (1,) * 5, "more axes than the tensor, 4"),
        ("PRelu", (6,), "not one number, or one per channel"),
    ],
)
def test_constants_that_no_layer_takes(op, shape, message):
    error = refusal(node(op, "x c"), shape=(2, 4, 6, 6), c=np.ones(shape, np.float32))
    assert isinstance(error, UnsupportedError)
    assert message in error.message


# Refusals: always with the node, never a guess.


def refusal(*nodes, shape=(1, 4, 6, 6), opset=17, **constants):
    model = make_model(*nodes, inputs={"x": shape}, constants=constants, opset=opset)
    with pytest.raises(ConvserveError) as caught:
        read(model)
    return caught.value


def test_an_unknown_operator_is_named_with_its_node():
    error = refusal(node("Relu", "x", "r"), node("NonZero", "r", name="where?"))
    assert isinstance(error, UnsupportedError)
    assert error.field == "node[1] NonZero 'where?'"
    assert "the operator NonZero is not known" in error.message
    assert all(operator in error.message for operator in ("Conv,", "MaxPool", "Resize"))
    assert len(OPERATORS) > 60


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (node("Relu", "x", domain="com.microsoft"), "domain 'com.microsoft'"),
        (node("Relu", "x", slope=0.5), "attributes slope"),
        (node("Add", "x nothing"), "'nothing', which no node before it makes"),
        (node("If", "x", then_branch=helper.make_graph([], "g", [], [])), "operator If"),
        (node("Conv", "x x"), "the weight, depends on the network's inputs"),
        (node("Conv", "x"), "the weight, is left out"),
        (node("Conv", "x w", kernel_shape=[2, 2]), "kernel_shape is (2, 2)"),
        (node("Conv", "x w", pads=[1, 1]), "pads (1, 1) are not 2 numbers"),
        (node("Conv", "x w", pads=[0, 0, 0, -1]), "(0, -1)"),
        (node("Conv", "x w", strides=[0, 1]), "0"),
        (node("Conv", "x w", auto_pad="SAME"), "auto_pad is 'SAME'"),
        (node("Conv", "x w", auto_pad="SAME_UPPER", pads=[1, 1, 1, 1]), "give one of them"),
        (node("Conv", "x w", group=3), "groups"),
        (node("Conv", "x w", group="3"), "attribute group is not of the type"),
        (node("BatchNormalization", "x c c c c", training_mode=1), "evaluation mode"),
        (node("LRN", "x", size=0), "its size is 0"),
        (node("Gather", "x pair", axis=1), "int64 (2,); only one constant index"),
        (node("Gather", "x five", axis=1), "index 5 is not one of 4 along axis 1"),
        (node("Gather", "x zero", axis=0), "the batch"),
        (node("Flatten", "x", axis=2), "axis is 2"),
        (node("Flatten", "x", axis=0), "the batch"),
        (node("Transpose", "x", perm=[1, 0, 2, 3]), "moves the batch"),
        (node("Transpose", "x", perm=[0, 1]), "no order of 4 axes"),
        (node("Concat", "x x", axis=0), "the batch"),
        (node("Concat", "x x", axis=4), "not one of 4 axes"),
        (node("Reshape", "x five"), "first axis is 5"),
        (node("Softmax", "x", axis=0), "the batch"),
        (node("Cast", "x", to=TensorProto.INT32), "makes int32 of float32"),
        (node("Gelu", "x", approximate="tanh"), "'tanh'"),
        (node("Pad", "x channel"), "the batch or the channels"),
        (node("Resize", "x _ _ five", mode="linear"), "sizes (5,) are not one for each of 4"),
        (node("Resize", "x _ half", mode="linear"), "whole sizes"),
        (node("Resize", "x _ _ five", axes=[7]), "axis 7 is not one of 4"),
        (node("MatMul", "x x"), "the B, depends on"),
    ],
)
def test_what_is_refused(made, message):
    constants = {
        "w": W,
        "c": np.ones(4, np.float32),
        "five": ints(5),
        "pair": ints(0, 2),
        "zero": np.int64(0),
        "channel": ints(0, 1, 0, 0, 0, 0, 0, 0),
        "half": np.array([1, 1, 0.4, 1], np.float32),
    }
    error = refusal(made, opset=20, **constants)
    assert message in error.message
    assert error.field.startswith(f"node[0] {made.op_type} 'y'")


def test_constants_that_are_no_numbers():
    error = refusal(node("Constant", "", "c", value_string="a"), node("Mul", "x c"))
    assert "no tensor or number" in error.message


@pytest.mark.parametrize("opset", [6, 29, 0, -1, 2**40])
def test_versions(opset):
    error = refusal(node("Relu", "x"), opset=opset)
    assert isinstance(error, UnsupportedError)
    assert "7 to 28" in error.message


def test_two_makers_and_a_circle():
    error = refusal(node("Relu", "x", "y"), node("Relu", "x", "y"))
    assert isinstance(error, InvalidNetworkError)
    error = refusal(node("Add", "x z", "y"), node("Relu", "y", "z"))
    assert "which no node before it makes" in error.message


def test_outputs_that_nothing_computes_are_copies():
    nodes = node("Relu", "x", "y"), node("Identity", "y", "z"), node("Identity", "x", "same")
    model = make_model(*nodes, inputs={"x": ("N", 4)}, outputs=["z", "y", "same", "x"])
    imported = read(model)
    layers = {layer.name: layer for layer in imported.network.layers}
    assert [type(layers[name]) for name in imported.network.outputs] == [ReLU, *[Slice] * 3]
    assert [layers[name].inputs for name in imported.network.outputs[1:]] == [
        *(("y",), ("x",), ("x",))
    ]
    assert len(imported.notes) == 3


def test_outputs_that_are_no_results():
    model = make_model(node("Relu", "x"), inputs={"x": (1, 4)}, outputs=["y", "y"])
    with pytest.raises(InvalidNetworkError, match="'y' is named 2 times"):
        read(model)
    model = make_model(node("Relu", "x"), inputs={"x": (1, 4)}, outputs=["y", "z"])
    with pytest.raises(InvalidNetworkError, match="no node makes the output 'z'"):
        read(model)
    nodes = node("Relu", "x"), node("Identity", "c", "z")
    model = make_model(*nodes, inputs={"x": (1, 4)}, constants={"c": W}, outputs=["y", "z"])
    with pytest.raises(UnsupportedError, match="'z' is a constant"):
        read(model)
    model = make_model(node("Identity", "c"), inputs={"x": (1, 4)}, constants={"c": W})
    with pytest.raises(InvalidNetworkError, match="do not depend on any input"):
        read(model)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (node("Mod", "one zero", "c"), "divides by 0"),
        (node("Div", "one zero", "c"), "divides by 0"),
        (node("Div", "least minus", "c"), "which int64 does not hold"),
        (node("Mod", "least minus", "c"), "which int64 does not hold"),
        (node("Sqrt", "below", "c"), "no number"),
        (node("Log", "below", "c"), "no number"),
        (node("Concat", "", "c", axis=0), "0 inputs, and must have at least 1"),
        (node("Min", "", "c"), "0 inputs, and must have at least 1"),
        (node("Add", "one", "c"), "1 inputs, and must have 2"),
        (node("Sqrt", "below below", "c"), "2 inputs, and must have 1"),
    ],
)
def test_constants_that_cannot_be_computed(made, message):
    del made.input[len(" ".join(made.input).split()) :]  # "" is no input
    numbers = {"one": 1, "zero": 0, "minus": -1, "least": -(2**63)}
    constants = {name: np.int64(number) for name, number in numbers.items()}
    error = refusal(made, node("Reshape", "x c"), below=np.float32(-1), **constants)
    assert isinstance(error, InvalidArgumentError)
    assert message in error.message
    assert error.field == f"node[0] {made.op_type} 'c'"


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.FLOAT16])
def test_the_batch_is_not_cast_to_what_does_not_hold_it(kind):
    model = make_model(
        node("Shape", "x", "s"),
        node("Cast", "s", "i", to=kind),
        node("Cast", "i", "l", to=TensorProto.INT64),
        node("Reshape", "x l"),
        inputs={"x": ("N", 4, 6)},
    )
    with pytest.raises(UnsupportedError, match="computes with the batch"):
        read(model)


def test_what_other_programs_do_otherwise_is_noted():
    windows = {"kernel_shape": [1, 1], "strides": [4, 4], "auto_pad": "SAME_UPPER"}
    for made, text in (
        (node("AveragePool", "x", **windows), "ONNX Runtime shifts them"),
        (node("MaxPool", "x", "_ y", kernel_shape=[2, 2]), "counted within each sample"),
    ):
        made.output[:] = [name.strip("_") for name in made.output]
        (note,) = read(make_model(made, inputs={"x": (2, 4, 8, 8)})).notes
        assert text in note


def test_inputs_without_a_batch():
    for shape in ((), (4,)):
        assert "must have a batch" in refusal(node("Relu", "x"), shape=shape).message
    model = make_model(node("Relu", "x"), inputs={"x": None})
    with pytest.raises(UnsupportedError, match="must have a batch"):
        read(model)
    assert read(model, {"x": (1, 4)}).inputs[0].shape == (1, 4)


def test_shapes_that_do_not_fit():
    error = refusal(node("Conv", "x w"), w=np.zeros((6, 5, 3, 3), np.float32))
    assert isinstance(error, ShapeError)
    assert "weight has the shape (6, 5, 3, 3), but must have (6, 4, 3, 3)" in error.message
