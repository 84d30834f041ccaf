"""Each operator as a model of its own: what the importer makes of it equals ONNX Runtime's result.

Attributes in the forms of old versions and inputs in those of new ones.
"""

import numpy as np
import pytest
from convserve_server.engines.reference.engine import ReferenceEngine
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from tests.onnx_models import make_model, node, results_of, runtime_results

RANDOM = np.random.default_rng(5)


def values(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def ints(*numbers):
    return np.array(numbers, np.int64)


def case(*nodes, x=(2, 4, 6, 6), opset=25, **constants):
    return pytest.param(nodes, x, opset, constants, id=f"{nodes[0].op_type}-{opset}")


W = values(6, 4, 3, 3)
CASES = [
    case(node("Conv", "x w b", auto_pad="SAME_UPPER", strides=[2, 2]), w=W, b=values(6)),
    case(node("Conv", "x w", auto_pad="SAME_LOWER", dilations=[1, 1]), w=values(6, 4, 2, 2)),
    case(node("Conv", "x w", auto_pad="VALID"), w=W),
    case(node("Conv", "x w", pads=[0, 1, 2, 1], dilations=[2, 1], group=2), w=values(6, 2, 3, 3)),
    case(node("Conv", "x w", pads=[1, 1]), x=(2, 4, 6), w=values(6, 4, 3)),
    case(node("ConvTranspose", "x w b", strides=[2, 2]), w=values(4, 3, 3, 3), b=values(3)),
    case(
        node("ConvTranspose", "x w", strides=[3, 3], output_padding=[1, 2], pads=[1, 0, 0, 1]),
        w=values(4, 3, 3, 3),
    ),
    case(
        node("ConvTranspose", "x w", strides=[2, 2], auto_pad="SAME_UPPER"), w=values(4, 3, 3, 3)
    ),
    case(
        node("ConvTranspose", "x w", strides=[2, 2], auto_pad="SAME_LOWER"), w=values(4, 3, 3, 3)
    ),
    case(
        node(
            *("ConvTranspose", "x w"),
            strides=[2, 2], output_shape=[12, 12], auto_pad="SAME_UPPER", group=2
        ),
        w=values(4, 3, 3, 3),
    ),
    case(node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2]), opset=7),
    case(node("MaxPool", "x", kernel_shape=[3, 3], ceil_mode=1, strides=[2, 2]), opset=10),
    case(node("MaxPool", "x", kernel_shape=[2, 2])),
    case(node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), opset=7),
    case(node("AveragePool", "x", kernel_shape=[3, 3], pads=[2, 2, 2, 2], count_include_pad=1)),
    case(node("LpPool", "x", kernel_shape=[2, 2], strides=[2, 2], p=3)),
    case(node("GlobalAveragePool", "x")),
    case(node("GlobalMaxPool", "x")),
    case(node("GlobalLpPool", "x", p=3), opset=21),
    case(
        node("BatchNormalization", "x s b m v", epsilon=1e-3),
        s=values(4), b=values(4), m=values(4), v=np.abs(values(4)),
    ),
    case(
        node("BatchNormalization", "x s b m v", spatial=1, momentum=0.5),
        opset=7, s=values(4), b=values(4), m=values(4), v=np.abs(values(4)),
    ),
    case(node("InstanceNormalization", "x s b"), s=values(4), b=values(4)),
    case(node("GroupNormalization", "x s b", num_groups=2), s=values(4), b=values(4), opset=21),
    case(node("LayerNormalization", "x s", axis=2), s=values(6, 6)),
    case(node("LRN", "x", size=3, alpha=0.1, bias=2.0)),
    *(case(node(op, "x")) for op in ("Relu", "Sigmoid", "Tanh", "Softplus", "Exp", "Abs", "Erf")),
    *(case(node(op, "x")) for op in ("HardSwish", "Mish", "Reciprocal")),
    case(node("LeakyRelu", "x", alpha=0.2)),
    case(node("Elu", "x", alpha=0.5)),
    case(node("HardSigmoid", "x", alpha=0.3)),
    case(node("Gelu", "x"), opset=20),
    case(node("Clip", "x", min=-0.5, max=0.25), opset=6 + 1),
    case(node("Clip", "x low high"), low=np.float32(0), high=np.float32(6)),
    case(node("Clip", "x low"), low=np.float32(0)),
    case(node("Clip", "x _ high"), high=np.float32(0.5)),
    case(node("PRelu", "x slope"), slope=values(4, 1, 1)),
    case(node("PRelu", "x slope"), slope=values(1)),
    case(node("Abs", "x", "a"), node("Sqrt", "a")),
    case(node("Abs", "x", "a"), node("Pow", "a e"), e=np.float32(1.5)),
    case(node("Softmax", "x"), opset=11),
    case(node("Softmax", "x", axis=2), opset=11),
    case(node("Softmax", "x", axis=3), opset=11),
    case(node("Softmax", "x", axis=1), x=(2, 5), opset=9),
    case(node("Softmax", "x"), opset=13),
    case(node("Softmax", "x", axis=1)),
    case(node("LogSoftmax", "x", axis=1)),
    case(node("Gemm", "x w c", transB=1), x=(2, 5), w=values(3, 5), c=values(3)),
    case(node("Gemm", "x w c", alpha=0.5, beta=2.0), x=(2, 5), w=values(5, 3), c=values(1, 3)),
    case(node("Gemm", "x w c"), x=(2, 5), w=values(5, 3), c=values()),
    case(node("Gemm", "x w"), x=(2, 5), w=values(5, 3)),
    case(node("MatMul", "x w"), x=(2, 5), w=values(5, 3)),
    case(node("MatMul", "x w", "m"), node("Add", "m b"), x=(2, 4, 5), w=values(5, 3), b=values(3)),
    case(node("Conv", "x w", "c"), node("Add", "b c"), w=W, b=values(1, 6, 1, 1)),
    case(node("Conv", "x w", "c"), node("Add", "c b"), w=W, b=values()),
    case(node("Mul", "x s", "m"), node("Add", "m b"), s=values(4, 1, 1), b=values(4, 1, 1)),
    case(node("Add", "b x"), b=values(1)),
    case(node("Mul", "x s", "m"), node("Add", "m b"), s=values(6), b=values(6)),
    case(node("Sub", "b x"), b=values(6, 1)),
    case(node("Div", "x b"), b=values(6)),
    case(node("Neg", "x")),
    case(node("Sub", "x b"), b=values(4, 1, 1)),
    case(node("Sub", "b x"), b=values(1, 4, 1, 1)),
    case(node("Div", "x b"), b=values(4, 1, 1)),
    case(node("Div", "b x"), b=values(4, 1, 1)),
    case(node("Relu", "x", "a"), node("Add", "x a")),
    case(node("Relu", "x", "a"), node("Sub", "x a")),
    case(node("GlobalAveragePool", "x", "a"), node("Mul", "x a")),
    case(node("Relu", "x", "a"), node("Sum", "x a x")),
    case(node("Relu", "x", "a"), node("Sum", "a")),
    case(node("Relu", "x", "a"), node("Concat", "x a", axis=-2)),
    case(node("Flatten", "x")),
    case(node("Flatten", "x", axis=-3), opset=11),
    case(node("Reshape", "x s"), s=ints(2, -1)),
    case(node("Reshape", "x s"), s=ints(0, 2, 0, -1)),
    case(node("Reshape", "x s"), s=ints(-1, 2, 2, 6, 6)),
    case(node("Transpose", "x", perm=[0, 2, 3, 1])),
    case(node("Unsqueeze", "x", "u", axes=[2]), node("Squeeze", "u", axes=[2]), opset=11),
    case(node("Unsqueeze", "x a", "u"), node("Relu", "u"), a=ints(-1)),
    case(node("GlobalAveragePool", "x", "g"), node("Squeeze", "g a"), a=ints(2, 3)),
    case(node("DepthToSpace", "x", blocksize=2)),
    case(node("DepthToSpace", "x", blocksize=2, mode="CRD")),
    case(node("SpaceToDepth", "x", blocksize=2)),
    case(node("Slice", "x", starts=[1, 0], ends=[5, 2**40], axes=[2, 3]), opset=9),
    case(node("Slice", "x b e a s"), b=ints(-5, 1), e=ints(9, 6), a=ints(2, -1), s=ints(2, 3)),
    case(node("Slice", "x b e"), b=ints(0, 1), e=ints(2**62, 3)),
    case(node("Gather", "x i", axis=1), i=np.int64(2)),
    case(node("Gather", "x i", axis=-1), i=np.int64(-1)),
    case(node("Gather", "x i", axis=2), i=ints(0)),
    case(node("Split", "x", "a y", axis=1, split=[1, 3]), opset=11),
    case(node("Split", "x s", "a y", axis=1), s=ints(3, 1)),
    case(node("Split", "x", "y a", axis=2, num_outputs=2)),
    case(node("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 0, 1], value=0.5), opset=7),
    case(node("Pad", "x p", mode="reflect"), p=ints(0, 0, 1, 2, 0, 0, 0, 1)),
    case(node("Pad", "x p v"), p=ints(0, 0, -1, 2, 0, 0, 0, -2), v=values()),
    case(node("Pad", "x p", "a"), node("Relu", "a"), x=(2, 5), p=ints(0, 0, 0, 0)),
    case(node("ReduceMean", "x", axes=[2, 3]), opset=11),
    case(node("ReduceMean", "x a", keepdims=0), a=ints(2, 3)),
    case(node("ReduceMax", "x a", keepdims=0), a=ints(1)),
    case(node("ReduceSum", "x a"), a=ints(-1)),
    case(node("Dropout", "x", "d"), node("Relu", "d"), opset=9),
    case(node("Identity", "x", "i"), node("Relu", "i")),
    case(node("Cast", "x", "i", to=TensorProto.FLOAT), node("Relu", "i")),
    case(node("Upsample", "x", scales=[1.0, 1.0, 2.0, 3.0], mode="nearest"), opset=7),
    case(node("Upsample", "x s", mode="linear"), opset=9, s=np.float32([1, 1, 2, 2])),
    case(node("Resize", "x s", mode="nearest"), opset=10, s=np.float32([1, 1, 2, 2])),
    case(
        node("Resize", "x r s", mode="nearest", coordinate_transformation_mode="asymmetric"),
        opset=11, r=np.float32([]), s=np.float32([1, 1, 2, 1]),
    ),
    case(node("Resize", "x _ s", mode="linear"), s=np.float32([1, 1, 1.5, 2])),
    case(node("Resize", "x _ _ n", mode="cubic"), n=ints(2, 4, 9, 12)),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "shape", "opset", "constants"), CASES)
def test_it_computes_what_onnx_runtime_does(nodes, shape, opset, constants):
    model = make_model(*nodes, inputs={"x": shape}, constants=constants, opset=opset)
    inputs = {"x": values(*shape)}
    (result,) = results_of(model, ReferenceEngine(), inputs)
    (expected,) = runtime_results(model, inputs)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("size", [1, 2, 4, 6, 9])
def test_an_even_size_is_that_of_the_standard(size):
    """ONNX Runtime takes odd ones only; onnx's own evaluator has a channel for each sample."""
    shape = (5, 5, 3, 2)
    model = make_model(node("LRN", "x", size=size, alpha=1.0), inputs={"x": shape})
    x = {"x": values(*shape)}
    (expected,) = ReferenceEvaluator(model).run(None, x)
    (result,) = results_of(model, ReferenceEngine(), x)
    np.testing.assert_allclose(result, expected, rtol=2e-4)


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        ("Div", "big minus"),
        ("Div", "big three"),
        ("Div", "minus three"),
        ("Div", "least three"),
        ("Mod", "minus three"),
    ],
)
def test_integers_are_computed_exactly(op, inputs):
    numbers = {"big": 2**62 + 1, "minus": -7, "three": 3, "least": -(2**63) + 1}
    model = make_model(
        node(op, inputs, "c"),
        node("Equal", "c want", "same"),
        node("Where", "same yes no", "factor"),
        node("Mul", "x factor"),
        inputs={"x": (1, 2)},
        constants={name: np.int64(number) for name, number in numbers.items()}
        | {"want": np.int64(_by_c(op, *(numbers[name] for name in inputs.split())))}
        | {"yes": np.float32(1), "no": np.float32(0)},
    )
    x = values(1, 2)
    np.testing.assert_array_equal(results_of(model, ReferenceEngine(), {"x": x})[0], x)


def _by_c(op, a, b):
    """Division towards zero, and the rest that has the divisor's sign."""
    return a % b if op == "Mod" else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def test_every_operator_of_the_table_has_a_case():
    from convserve_server.planning.importers.onnx.operators import OPERATORS

    here = {node.op_type for each in CASES for node in each.values[0]}
    elsewhere = {"ConvInteger", "QLinearConv", "DeformConv", "Col2Im", "MaxUnpool", "Log", "Swish"}
    assert set(OPERATORS) == here | elsewhere
