"""Weights stay in the file until they are wanted, one after the other."""

import tracemalloc

import ml_dtypes
import numpy as np
import onnx
import pytest
from convserve.errors import (
    ByteCountError,
    DTypeError,
    ShapeError,
    TooLargeError,
    UnsupportedError,
)
from convserve_server.planning.importers.imported import Fill, Span, Values
from convserve_server.planning.importers.onnx import read_onnx
from onnx import TensorProto, helper, numpy_helper

from tests.onnx_models import make_model, node, read, weights_of

MIB = 1 << 20


def conv_model(weight, shape=(1, 4, 8, 8)):
    model = make_model(node("Conv", "x w"), inputs={"x": shape})
    model.graph.initializer.append(weight)
    return model


def only_weight(model):
    file = model.SerializeToString()
    imported = read_onnx(memoryview(file))
    (weight,) = imported.weights
    (array,) = weights_of(file, imported.weights).values()
    return weight, array


def test_raw_data_is_a_span_of_the_file():
    array = np.arange(36, dtype=np.float32).reshape(1, 4, 3, 3)
    weight, found = only_weight(conv_model(numpy_helper.from_array(array, "w")))
    assert isinstance(weight.source, Span)
    assert weight.spec.name == "y.weight"
    np.testing.assert_array_equal(found, array)


def test_float_data_is_a_span_too():
    array = np.arange(36, dtype=np.float32).reshape(1, 4, 3, 3)
    tensor = helper.make_tensor("w", TensorProto.FLOAT, array.shape, array.reshape(-1))
    weight, found = only_weight(conv_model(tensor))
    assert isinstance(weight.source, Span)
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_numbers_by_their_bits(dtype):
    array = np.arange(36).reshape(1, 4, 3, 3).astype(dtype) / dtype(7)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    bits = array.reshape(-1).view(np.uint16).tolist()
    tensor = onnx.TensorProto(name="w", data_type=kind, dims=array.shape, int32_data=bits)
    model = conv_model(tensor)
    model.graph.input[0].type.tensor_type.elem_type = kind
    weight, found = only_weight(model)
    assert isinstance(weight.source, Values)
    np.testing.assert_array_equal(found, array)


def test_a_constant_of_one_value_is_only_described():
    model = make_model(
        node("ConstantOfShape", "s", "w", value=helper.make_tensor("", 1, [1], [0.5])),
        node("Conv", "x w"),
        inputs={"x": (1, 4, 8, 8)},
        constants={"s": np.array([1, 4, 3, 3])},
    )
    weight, found = only_weight(model)
    assert weight.source == Fill(np.float32(0.5).tobytes())
    np.testing.assert_array_equal(found, np.full((1, 4, 3, 3), 0.5, np.float32))


def test_nothing_is_made_of_a_weight_of_a_terabyte():
    model = make_model(
        node("ConstantOfShape", "s", "w"),
        node("Conv", "x w"),
        inputs={"x": (1, 2**20, 8, 8)},
        constants={"s": np.array([2**20, 2**20, 1, 1])},
    )
    (weight,) = read(model).weights
    assert weight.spec.byte_count == 4 << 40


def test_gemm_describes_its_transposition_and_factors():
    b, c = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32)
    model = make_model(
        node("Gemm", "x b c", alpha=0.5, beta=3.0), inputs={"x": (1, 2)}, constants={"b": b, "c": c}
    )
    imported = read(model)
    weight, bias = imported.weights
    assert isinstance(weight.source, Span)
    assert (weight.stored_shape, weight.permute, weight.factor) == ((2, 3), (1, 0), 0.5)
    found = weights_of(model.SerializeToString(), imported.weights)
    np.testing.assert_array_equal(found["y.weight"], 0.5 * b.T)
    np.testing.assert_array_equal(found["y.bias"], 3 * c)
    assert bias.factor == 3.0


def test_a_transposed_initializer_is_described():
    stored = np.arange(72, dtype=np.float32).reshape(3, 3, 4, 2)
    model = make_model(
        node("Transpose", "s", "w", perm=[3, 2, 0, 1]),
        node("Conv", "x w"),
        inputs={"x": (1, 4, 8, 8)},
        constants={"s": stored},
    )
    weight, found = only_weight(model)
    assert isinstance(weight.source, Span)
    np.testing.assert_array_equal(found, stored.transpose(3, 2, 0, 1))


def test_weights_are_not_copied_while_a_file_is_read():
    array = np.zeros((64, 1024, 9, 9), np.float32)
    model = conv_model(numpy_helper.from_array(array, "w"), (1, 1024, 16, 16))
    file = memoryview(model.SerializeToString())
    tracemalloc.start()
    try:
        imported = read_onnx(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert imported.weights[0].spec.byte_count == array.nbytes > 20 * MIB
    assert peak < MIB


def tensor(**fields):
    given = {"name": "w", "data_type": 1, "dims": (1, 4, 3, 3), "raw_data": bytes(144)}
    return onnx.TensorProto(**(given | fields))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"raw_data": bytes(143)}, ByteCountError, "has 144 bytes, but 143"),
        ({"dims": (1, 4, 3, -3)}, ShapeError, "-3"),
        ({"dims": (2**40, 4)}, ShapeError, "2147483647"),
        ({"dims": (1,) * 40}, ShapeError, "rank 40"),
        ({"dims": (2**31 - 1,) * 32}, ByteCountError, "but 144"),
        ({"data_type": 8}, DTypeError, "element type 8"),
        ({"data_type": 99}, DTypeError, "element type 99"),
        ({"data_location": 1}, UnsupportedError, "another file"),
        ({"segment": onnx.TensorProto.Segment(begin=0, end=1)}, UnsupportedError, "segment"),
        ({"raw_data": None, "float_data": [1.0]}, ByteCountError, "but 4"),
        ({"raw_data": None, "data_type": 3, "int32_data": [300] * 36}, DTypeError, "range of int8"),
    ],
)
def test_what_is_wrong_with_a_tensor(wrong, error, message):
    with pytest.raises(error, match=message) as caught:
        read(conv_model(tensor(**wrong)))
    assert caught.value.field.startswith("graph.initializer['w']")


def test_computing_with_large_constants_is_bounded():
    big = np.zeros((1, 4, 600, 600), np.float32)
    model = make_model(
        node("Add", "w w", "v"),
        node("Conv", "x v"),
        inputs={"x": (1, 4, 700, 700)},
        constants={"w": big},
    )
    with pytest.raises(TooLargeError, match="1440000 elements"):
        read(model)


def test_constants_that_grow_are_bounded():
    row = np.zeros((1, 2**20), np.float32)
    model = make_model(
        node("Transpose", "row", "column"),
        node("Add", "row column", "v"),
        node("MatMul", "x v"),
        inputs={"x": (1, 2**20)},
        constants={"row": row},
    )
    with pytest.raises(TooLargeError, match=str(2**40)):
        read(model)


def test_many_constants_are_bounded_together():
    nodes = [node("Add", "w w", f"v{n}") for n in range(20)]
    total = node("Sum", " ".join(f"v{n}" for n in range(20)), "v")
    model = make_model(
        *nodes, total, node("Mul", "x v"),
        inputs={"x": (1, 4)}, constants={"w": np.zeros(2**20, np.float32)},
    )  # fmt: skip
    with pytest.raises(TooLargeError, match="elements of constants"):
        read(model)
