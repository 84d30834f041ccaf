"""Running imported ONNX models on an engine, without a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from convserve.tensors import Array, Shape, empty, spec_of, wire_bytes
from convserve_server.engines.base import Engine
from convserve_server.planning.importers.imported import Imported, Weight
from convserve_server.planning.importers.onnx import read_onnx
from convserve_server.planning.planner import compile_network
from convserve_server.planning.program import work_outputs
from onnx import helper

CURRENT_OPSET = 25  # what ONNX Runtime has, too


def node(op: str, inputs: str, outputs: str = "y", **attributes: Any) -> Any:
    """A node; inputs and outputs are names between spaces, `_` for one that is left out."""
    names = ["" if name == "_" else name for name in inputs.split()]
    return helper.make_node(op, names, outputs.split(), **attributes)


def make_model(
    *nodes: Any,
    inputs: Mapping[str, Sequence[int | str | None]],
    constants: Mapping[str, Any] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = CURRENT_OPSET,
    dtype: int = onnx.TensorProto.FLOAT,
) -> Any:
    """A model of these nodes. Inputs have shapes, in which None and words are open."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, dtype, None) for name in outputs],
        [
            onnx.numpy_helper.from_array(np.asarray(array), name)
            for name, array in (constants or {}).items()
        ],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def read(model: Any, shapes: Mapping[str, Shape] | None = None) -> Imported:
    """The network of an ONNX model."""
    return read_onnx(memoryview(model.SerializeToString()), shapes)


def weights_of(file: bytes, weights: Sequence[Weight]) -> dict[str, Array]:
    """The weights of an imported file by name."""
    arrays = {weight.spec.name: empty(weight.spec) for weight in weights}
    for weight in weights:
        weight.write(memoryview(file), wire_bytes(arrays[weight.spec.name]))
    return arrays


def run_imported(
    engine: Engine, imported: Imported, file: bytes, inputs: Mapping[str, Array]
) -> dict[str, Array]:
    """The results by our names. The inputs are by our names, too."""
    tensors = dict(inputs) | weights_of(file, imported.weights)
    specs = [spec_of(name, array) for name, array in tensors.items()]
    program = compile_network(imported.network, specs)
    outputs = {spec.name: empty(spec) for spec in work_outputs(program)}
    engine.run(program, tensors, outputs)
    return outputs


def results_of(model: Any, engine: Engine, inputs: Mapping[str, Array]) -> list[Array]:
    """What an engine makes of a model, in the order of the network's outputs."""
    file = model.SerializeToString()
    imported = read_onnx(memoryview(file))
    outputs = run_imported(engine, imported, file, inputs)
    return [outputs[name] for name in imported.network.outputs]


def runtime_results(model: Any, inputs: Mapping[str, Array]) -> list[Array]:
    """What ONNX Runtime makes of it, on one thread and without optimizing."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    results: list[Array] = session.run(None, dict(inputs))
    return results


def with_constants(model: Any, values: Mapping[str, Array]) -> Any:
    """The model with some of its inputs as initializers."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    kept = [each for each in changed.graph.input if each.name not in values]
    del changed.graph.input[:]
    changed.graph.input.extend(kept)
    changed.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in values.items()
    )
    return changed
