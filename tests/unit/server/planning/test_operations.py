"""Signal operations and gradients: shapes, types and refusals."""

from __future__ import annotations

import pytest
from convserve.errors import (
    DTypeError,
    InvalidLayerError,
    InvalidNetworkError,
    ShapeError,
    TooLargeError,
)
from convserve.operations import (
    OPERANDS,
    ConvInputGradient,
    Convolve,
    ConvWeightGradient,
    Correlate,
    operation_kind,
)
from convserve.tensors import TensorSpec
from convserve_server.planning.operations import plan_operation


def planned(operation, first, second, dtypes=("float32", "float32")):
    names = OPERANDS[operation_kind(operation)]
    shapes = (first, second)
    specs = [TensorSpec(*parts) for parts in zip(names, dtypes, shapes, strict=True)]
    return plan_operation(operation, specs)


@pytest.mark.parametrize("kind", [Convolve, Correlate])
@pytest.mark.parametrize(
    ("mode", "a", "v", "shape"),
    [
        ("full", (5,), (3,), (7,)),
        ("full", (3, 4), (5, 1), (7, 4)),
        ("same", (5,), (3,), (5,)),
        ("same", (3,), (5,), (3,)),
        ("valid", (5,), (3,), (3,)),
        ("valid", (3,), (5,), (3,)),
        ("valid", (5, 5, 5, 5), (1, 2, 3, 5), (5, 4, 3, 1)),
    ],
)
def test_signal_shape(kind, mode, a, v, shape):
    step = planned(kind(mode=mode), a, v)
    assert (step.output.name, step.output.shape) == ("output", shape)


@pytest.mark.parametrize(
    ("dtypes", "result"),
    [
        (("int8", "int8"), "int8"),
        (("bool", "bool"), "bool"),
        (("uint8", "int16"), "int16"),
        (("float16", "float16"), "float16"),
        (("bfloat16", "bfloat16"), "bfloat16"),
        (("float32", "complex64"), "complex64"),
        (("int64", "float32"), "float64"),
    ],
)
def test_signals_keep_scipys_types(dtypes, result):
    assert planned(Convolve(), (5,), (3,), dtypes).output.dtype == result


def test_input_gradient():
    operation = ConvInputGradient((2, 4, 9, 8), stride=2, padding="same", groups=2)
    step = planned(operation, (2, 6, 5, 4), (6, 2, 3, 4))
    assert step.output.shape == (2, 4, 9, 8)
    assert step.operation.padding == ((1, 1), (1, 1))
    assert (step.operation.stride, step.operation.dilation) == ((2, 2), (1, 1))


def test_weight_gradient():
    operation = ConvWeightGradient(3, stride=(2, 1), padding=1, dilation=2, groups=2)
    step = planned(operation, (2, 4, 9, 8), (2, 6, 4, 6), ("int8", "int16"))
    assert step.output == TensorSpec("output", "int32", (6, 2, 3, 3))
    assert step.operation.kernel_size == (3, 3)
    assert step.operation.padding == ((1, 1), (1, 1))


def test_gradients_of_an_empty_batch():
    assert planned(ConvWeightGradient(3), (0, 1, 5), (0, 1, 3)).output.shape == (1, 1, 3)
    assert planned(ConvInputGradient((0, 1, 5)), (0, 1, 3), (1, 1, 3)).output.shape == (0, 1, 5)


X, G, W = "tensors['x'].shape", "tensors['grad_output'].shape", "tensors['weight'].shape"


@pytest.mark.parametrize(
    ("operation", "first", "second", "error", "field", "numbers"),
    [
        (Convolve(), (), (), ShapeError, "tensors['a'].shape", "0 1"),
        (Convolve(), (5,), (3, 3), ShapeError, "tensors['v'].shape", "1 2"),
        (Correlate(), (5, 0), (3, 3), ShapeError, "tensors['a'].shape", "0 1"),
        (Convolve(), (5,), (0,), ShapeError, "tensors['v'].shape", "0 1"),
        (Convolve(mode="valid"), (5, 2), (3, 3), ShapeError, "convolve.mode", "5 2 3"),
        (Convolve(), (-1,), (3,), ShapeError, "tensors['a'].shape[0]", "-1"),
        (Convolve(), (2**31 - 1,), (2,), TooLargeError, "convolve", f"{2**31} {2**31 - 1}"),
        (ConvInputGradient((1, 1, 5)), (1, 1, 4), (1, 1, 3), ShapeError, G, "4 3"),
        (ConvInputGradient((1, 1, 5)), (1, 1, 3), (1, 1, 3, 3), ShapeError, W, "4 3"),
        (ConvInputGradient((1, 2, 5)), (1, 1, 3), (1, 1, 3), ShapeError, W, "(1, 1, 3) (1, 2, 3)"),
        (ConvInputGradient((1, 2, 5)), (1, 1, 3), (0, 2, 3), ShapeError, W, "0 1"),
        (
            ConvInputGradient((1, 0, 5)),
            (1, 1, 3),
            (1, 2, 3),
            ShapeError,
            "conv_input_gradient.input_shape",
            "0 1",
        ),
        (
            ConvInputGradient((1, 3, 5), groups=2),
            (1, 2, 3),
            (2, 1, 3),
            ShapeError,
            "conv_input_gradient.groups",
            "3 2",
        ),
        (ConvWeightGradient(3), (1, 1, 5), (1, 1, 4), ShapeError, G, "4 3"),
        (ConvWeightGradient(3), (1, 1, 5), (1, 1), ShapeError, G, "2 3"),
        (ConvWeightGradient(3), (1, 1, 5), (1, 0, 3), ShapeError, G, "0 1"),
        (ConvWeightGradient(3), (1, 1), (1, 1), ShapeError, X, "2 3"),
        (ConvWeightGradient(3), (1, 1, 0), (1, 1, 3), ShapeError, X, "0 1"),
        (
            ConvWeightGradient((3, 3)),
            (1, 1, 5),
            (1, 1, 3),
            InvalidLayerError,
            "conv_weight_gradient.kernel_size",
            "2 1",
        ),
        (
            ConvWeightGradient(9),
            (1, 1, 5),
            (1, 1, 3),
            ShapeError,
            "conv_weight_gradient.kernel_size",
            "9 5",
        ),
    ],
    ids=str,
)
def test_refusal(operation, first, second, error, field, numbers):
    with pytest.raises(error) as caught:
        planned(operation, first, second)
    assert type(caught.value) is error
    assert caught.value.field == field
    for number in numbers.split():
        assert number.strip("(,)") in caught.value.message


@pytest.mark.parametrize("operation", [Convolve(), ConvWeightGradient(3)])
def test_types_without_a_common_one_are_refused(operation):
    with pytest.raises(DTypeError) as caught:
        planned(operation, (1, 1, 5), (1, 1, 3), ("bfloat16", "float16"))
    assert caught.value.field == operation_kind(operation)


def test_operands_by_name():
    with pytest.raises(InvalidNetworkError, match="missing: v; not in the network: w"):
        plan_operation(Convolve(), [TensorSpec(name, "int8", (3,)) for name in ("a", "w")])
