"""Tensors to wire bytes and back."""

import ml_dtypes
import numpy as np
import pytest
from convserve import chunks, errors, tensors
from convserve.v1 import tensor_pb2
from hypothesis import given
from hypothesis.extra import numpy as hnp


def travel(array, chunk_bytes=7):
    """What arrives when `array` is sent in small chunks."""
    spec = tensors.spec_from_message(tensors.spec_to_message(tensors.spec_of("x", array)))
    result = tensors.empty(spec)
    assembler = chunks.Assembler([spec], [tensors.wire_bytes(result)])
    for message in chunks.chunk_messages([tensors.wire_bytes(array)], chunk_bytes):
        assembler.write(chunks.read_chunk(message))
    assembler.finish()
    return result


@pytest.mark.parametrize("name", tensors.DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (5,), (2, 3, 4)])
def test_every_dtype_and_shape_round_trips(name, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(tensors.DTYPES[name])
    result = travel(array)
    assert result.dtype == array.dtype
    assert result.shape == array.shape
    assert result.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24.0).reshape(2, 3, 4).T,
        np.arange(24.0)[::-2],
        np.broadcast_to(np.float32(3), (4, 5)),
        np.arange(6, dtype=">i4"),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(7.5),
        np.arange(4).astype(ml_dtypes.bfloat16)[::2],
    ],
    ids=["transposed", "reversed", "broadcast", "big-endian", "fortran", "0-d", "bfloat16-strided"],
)
def test_any_memory_layout_round_trips(array):
    np.testing.assert_array_equal(travel(array), array)


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, min_side=0, max_side=5)))
def test_random_arrays_round_trip_bit_for_bit(array):
    assert travel(array).tobytes() == array.tobytes()


@pytest.mark.parametrize("name", tensors.DTYPES)
def test_encoding_a_contiguous_array_copies_nothing(name):
    array = np.ones((4, 5), tensors.DTYPES[name])
    view = np.frombuffer(tensors.wire_bytes(array), np.uint8)
    assert np.shares_memory(view, array)


def test_decoding_uses_the_memory_given():
    array = np.arange(12, dtype=np.int16).reshape(3, 4)
    spec = tensors.spec_of("x", array)
    buffer = bytearray(tensors.wire_bytes(array))
    assert np.shares_memory(
        tensors.array_over(memoryview(buffer), spec), np.frombuffer(buffer, np.uint8)
    )


def test_numbers_of_elements_are_exact():
    assert tensors.TensorSpec("x", "float32", (2**31 - 1, 2**31 - 1)).byte_count == 4 * (
        (2**31 - 1) ** 2
    )


@pytest.mark.parametrize(
    ("shape", "field"), [((2**32, 2**32), "shape[0]"), ((1, -1), "shape[1]"), ((1,) * 33, "shape")]
)
def test_impossible_shapes_are_refused_before_anything_is_allocated(shape, field):
    with pytest.raises(errors.ShapeError) as caught:
        tensors.spec_from_message(tensor_pb2.TensorSpec(name="x", dtype="DTYPE_INT8", shape=shape))
    assert caught.value.field == field


def test_a_symbolic_batch_is_only_first():
    message = tensor_pb2.TensorSpec(name="x", dtype="DTYPE_INT8", shape=(-1, 3))
    assert tensors.spec_from_message(message).is_symbolic


@pytest.mark.parametrize("number", [0, 16, 99])
def test_unknown_dtypes_are_refused(number):
    with pytest.raises(errors.DTypeError) as caught:
        tensors.spec_from_message(tensor_pb2.TensorSpec(name="x", dtype=number, shape=(1,)))
    assert caught.value.field == "dtype"


def test_dtypes_that_do_not_travel_are_named():
    with pytest.raises(errors.DTypeError, match="datetime64"):
        tensors.spec_of("x", np.zeros(2, "datetime64[s]"))


def test_declared_bytes_must_match_the_shape():
    message = tensor_pb2.TensorSpec(name="x", dtype="DTYPE_FLOAT32", shape=(3,), byte_count=11)
    with pytest.raises(errors.ByteCountError, match=r"11 bytes.*has 12"):
        tensors.spec_from_message(message)


class OnlyDlpack:
    """An array that speaks nothing but DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.mark.parametrize(
    "value", [[1, 2], (1, 2), memoryview(b"\1\2"), OnlyDlpack(np.array([1, 2]))], ids=type
)
def test_anything_like_an_array_is_taken(value):
    assert tensors.as_array(value).tolist() == [1, 2]


def test_where_a_tensor_may_begin():
    assert [tensors.aligned(n) for n in (0, 1, 64, 65)] == [64, 64, 64, 128]
