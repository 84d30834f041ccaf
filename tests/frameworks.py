"""The frameworks themselves: what each makes of a layer that is written in its words.

`ASK[runtime](spelling, x, w)` carries the text out on the frameworks' own arrays, channels first,
and gives the result, or raises what the framework raises. Texts come from these tests alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"  # read once, when Keras is imported
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import keras
import numpy as np
import onnx
import onnxruntime
import scipy.ndimage
import scipy.signal
import torch
from convserve.tensors import Array
from jax import lax
from onnx.reference import ReferenceEvaluator

OPSET = 22
torch.set_num_threads(1)  # these are small


def ask_torch(spelling: str, x: Array, w: Array | None) -> Array:
    """PyTorch, eagerly."""
    module = eval(spelling, {"nn": torch.nn})
    if w is not None:
        module.weight.data = torch.from_numpy(w)
    with torch.no_grad():
        return module(torch.from_numpy(x)).numpy()


def ask_keras(spelling: str, x: Array, w: Array | None) -> Array:
    """Keras on torch, channels last as its words are."""
    layer = eval(spelling, vars(keras.layers))
    y = np.moveaxis(x, 1, -1)
    layer.build(y.shape)
    if w is not None:
        kernel = np.moveaxis(w, (0, 1), (-1, -2))
        layer.set_weights([kernel.reshape(layer.weights[0].shape)])
    return np.moveaxis(keras.ops.convert_to_numpy(layer(y)), -1, 1)


def onnx_model(spelling: str, x: Array, w: Array | None) -> onnx.ModelProto:
    """A model of the one node."""
    name, _, rest = spelling.partition("(")
    attributes = eval(f"dict({rest}")
    attributes = {key: value for key, value in attributes.items() if key not in ("W", "B")}
    inputs = ["x"] if w is None else ["x", "w"]
    weights = [] if w is None else [onnx.numpy_helper.from_array(w, "w")]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(name, inputs, ["y"], **attributes)],
        "layer",
        [onnx.helper.make_tensor_value_info("x", 1, x.shape)],
        [onnx.helper.make_tensor_value_info("y", 1, None)],
        weights,
    )
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)


def infer_onnx(spelling: str, x: Array, w: Array | None) -> tuple[int, ...]:
    """The shape that ONNX's inference gives."""
    model = onnx_model(spelling, x, w)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    return tuple(dim.dim_value for dim in inferred.graph.output[0].type.tensor_type.shape.dim)


def ask_onnxruntime(spelling: str, x: Array, w: Array | None) -> Array:
    """ONNX Runtime on the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    model = onnx_model(spelling, x, w).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def ask_reference(spelling: str, x: Array, w: Array | None) -> Array:
    """ONNX's reference in Python."""
    return ReferenceEvaluator(onnx_model(spelling, x, w)).run(None, {"x": x})[0]


def infer_jax(spelling: str, x: Array, w: Array | None) -> tuple[int, ...]:
    """The shape that JAX gives, without computing."""

    def forward(_: Any, kernel: tuple[int, ...], **options: Any) -> tuple[int, ...]:
        arguments = [jax.ShapeDtypeStruct(shape, "float32") for shape in (x.shape, kernel)]
        return jax.eval_shape(
            lambda a, b: lax.conv_general_dilated(a, b, **options), *arguments
        ).shape

    def backward(_: Any, kernel: tuple[int, ...], **options: Any) -> tuple[int, ...]:
        first = (x.shape[0], *x.shape[2:], x.shape[1])
        arguments = [jax.ShapeDtypeStruct(shape, "float32") for shape in (first, kernel)]
        batch, *sizes, channels = jax.eval_shape(
            lambda a, b: lax.conv_transpose(a, b, **options), *arguments
        ).shape
        return (batch, channels, *sizes)

    def pool(
        _: Any, window: tuple[int, ...], strides: Any, padding: Any, **_options: Any
    ) -> tuple[int, ...]:
        pairs = padding if isinstance(padding, str) else ((0, 0), (0, 0), *padding)
        return jax.eval_shape(  # as flax.linen.pooling.pool does
            lambda a: lax.reduce_window(
                a, -np.inf, lax.max, (1, 1, *window), (1, 1, *strides), pairs
            ),
            jax.ShapeDtypeStruct(x.shape, "float32"),
        ).shape

    calls = SimpleNamespace(conv_general_dilated=forward, conv_transpose=backward)
    pools = SimpleNamespace(max_pool=pool, avg_pool=pool)
    return eval(spelling, {"lax": calls, "linen": pools, "x": x})


def ask_signal(spelling: str, x: Array, w: Array | None) -> Array:
    """NumPy's and SciPy's functions on one channel."""
    assert w is not None
    kernel = w[0, 0][tuple(slice(None, None, -1) for _ in w.shape[2:])]

    def with_kernel(function: Callable[..., Array]) -> Callable[..., Array]:
        return lambda a, _shape, **options: function(a, kernel, **options)

    signal = SimpleNamespace(convolve=with_kernel(scipy.signal.convolve))
    image = SimpleNamespace(convolve1d=with_kernel(scipy.ndimage.convolve1d))
    names = {
        "scipy": SimpleNamespace(signal=signal, ndimage=image),
        "np": SimpleNamespace(convolve=with_kernel(np.convolve)),
        "x": x[0, 0],
    }
    return eval(spelling, names)[None, None]


# runtime -> what it gives: values, or a shape
ASK: dict[str, Callable[[str, Array, Array | None], Any]] = {
    "torch": ask_torch,
    "keras": ask_keras,
    "onnx_infer": infer_onnx,
    "onnx_ref": ask_reference,
    "onnxruntime": ask_onnxruntime,
    "jax": infer_jax,
    "scipy": ask_signal,
    "numpy": ask_signal,
    "scipy_ndimage_convolve1d": ask_signal,
}
