"""Writes ONNX models node by node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from convserve.tensors import Array, TensorSpec, dtype_of
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

OPSET, IR_VERSION = 20, 9


def onnx_type(dtype: str) -> int:
    """The number of an element type in ONNX."""
    return int(helper.np_dtype_to_tensor_dtype(dtype_of(dtype)))


class Writer:
    """Collects nodes; names them with a character that no caller's name has."""

    def __init__(self, careful: bool) -> None:
        self.careful = careful
        self.probes: list[str] = []
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Append a node, and name its result."""
        name = f":{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def constant(self, value: Array) -> str:
        """Append a small constant."""
        name = f":c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def scalar(self, value: float) -> str:
        """Append a float32 constant without axes."""
        return self.constant(np.array(value, np.float32))

    def integers(self, values: Iterable[int]) -> str:
        """Append an int64 constant with one axis: sizes, axes or places."""
        return self.constant(np.array([*values], np.int64))

    def cast(self, name: str, source: str, target: str) -> str:
        """The value in another element type."""
        return name if source == target else self.add("Cast", name, to=onnx_type(target))

    def model(
        self,
        inputs: Sequence[TensorSpec],
        parameters: Sequence[TensorSpec],
        outputs: Sequence[tuple[TensorSpec, str]],
        *,
        constant: bool,
    ) -> bytes:
        """The serialized model, with the parameters as inputs or as constants without values."""
        values = [_symbolic(spec) for spec in inputs]
        initializers = list(self._constants)
        for spec in parameters:
            if constant:
                initializers.append(_absent(spec))
            else:
                values.append(_value(spec.name, spec.dtype, spec.shape))
        results = [_value(name, spec.dtype, None) for spec, name in outputs]
        results += [_value(name, "float32", None) for name in self.probes]
        graph = helper.make_graph(self._nodes, "steps", values, results, initializers)
        opset = helper.make_opsetid("", OPSET)
        model: ModelProto = helper.make_model(
            graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="convserve"
        )
        return model.SerializeToString()


def _value(name: str, dtype: str, shape: Sequence[int | str] | None) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx_type(dtype), shape)


def _symbolic(spec: TensorSpec) -> ValueInfoProto:
    shape = [f"{spec.name}:{axis}" for axis in range(len(spec.shape))]
    return _value(spec.name, spec.dtype, [shape[0], spec.shape[1], *shape[2:]])


def _absent(spec: TensorSpec) -> TensorProto:
    tensor = TensorProto(
        name=spec.name,
        data_type=onnx_type(spec.dtype),
        dims=spec.shape,
        data_location=TensorProto.EXTERNAL,
    )
    tensor.external_data.add(key="location", value="memory")
    return tensor
