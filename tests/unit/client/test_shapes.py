"""The specs of a network's inputs: of shapes as people write them, or of the file's own."""

import numpy as np
import pytest
from convserve.errors import DTypeError
from convserve.tensors import TensorSpec
from convserve_client._shapes import DTYPE, as_specs

OWN = (TensorSpec("x", "float64", (-1, 3, 8, 8)), TensorSpec("mask", "int32", (-1, 1)))


def dtypes(given, dtype, own=OWN):
    return [spec.dtype for spec in as_specs(given, dtype, own, "channels_first")]


def test_the_file_s_types_hold_where_no_other_is_asked_for():
    assert dtypes(None, DTYPE) == ["float64", "int32"]
    assert dtypes({"x": (1, 3, 8, 8), "other": (1, 2)}, DTYPE) == ["float64", "float32"]
    assert dtypes((1, 3, 8, 8), DTYPE, OWN[:1]) == ["float64"]


@pytest.mark.parametrize(
    ("dtype", "name"), [("float16", "float16"), (np.float32, "float32"), (np.int8, "int8")]
)
def test_another_type_is_that_of_every_input(dtype, name):
    assert dtypes(None, dtype) == [name, name]
    assert dtypes((1, 3, 8, 8), dtype, OWN[:1]) == [name]


@pytest.mark.parametrize("given", [None, (1, 3, 8, 8)])
@pytest.mark.parametrize("dtype", ["float33", None, object()])
def test_what_is_no_type_is_refused(given, dtype):
    with pytest.raises(DTypeError) as caught:
        dtypes(given, dtype, OWN[:1])
    assert caught.value.field == "dtype"
