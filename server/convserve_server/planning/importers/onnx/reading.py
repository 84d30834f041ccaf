"""From a file's bytes to a network: only what its outputs need is looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from attrs import evolve
from convserve.errors import (
    ConvserveError,
    InvalidArgumentError,
    InvalidNetworkError,
    UnsupportedError,
    error_at,
)
from convserve.layers import Slice
from convserve.networks import Network
from convserve.tensors import MAX_DIMENSION, SYMBOLIC_BATCH, Shape, TensorSpec

from convserve_server.planning.importers.imported import UNKNOWN_SIZE, Imported, Weight
from convserve_server.planning.importers.onnx.building import Building, Value
from convserve_server.planning.importers.onnx.call import Call
from convserve_server.planning.importers.onnx.constants import (
    Constant,
    element_type,
)
from convserve_server.planning.importers.onnx.folding import FOLDS
from convserve_server.planning.importers.onnx.messages import (
    OWN_DOMAINS,
    GraphMessage,
    NodeMessage,
    TensorMessage,
    ValueMessage,
    read_model,
)
from convserve_server.planning.importers.onnx.operators import OPERATORS

MIN_OPSET, MAX_OPSET = 7, 28


def read_onnx(file: memoryview, shapes: Mapping[str, Shape] | None = None) -> Imported:
    """The network of an ONNX file. No value of a weight is copied.

    `shapes` replace those that the file tells of its inputs, by name; the name may be empty where
    there is one input. The batch is the first axis of every tensor, and stays it.

    Raises InvalidArgumentError for what is no ONNX model or a wrong one; UnsupportedError, with the
    node, for what is not done; TooLargeError.
    """
    opset, graph = read_model(file)
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise UnsupportedError(
            f"the file has version {opset} of ONNX's operators, and {MIN_OPSET} to {MAX_OPSET} are "
            "read; convert it with onnx.version_converter",
            field="opset_import",
            metadata={"value": opset, "limit": MAX_OPSET},
        )
    nodes = _needed(graph)
    reads = _reads(graph, (node for _, node in nodes))
    stored = {tensor.name for tensor in graph.initializers}
    given = [value for value in graph.inputs if value.name not in stored and reads[value.name]]
    specs = _input_specs(given, shapes or {})
    building = Building(file, opset, _batch_of(given), reads)
    inputs = _bind_inputs(building, specs)
    _bind_initializers(building, graph.initializers)
    for index, node in nodes:
        with error_at(f"node[{index}] {node.op} {(node.name or _first(node))!r}"):
            _translate(Call(node, index, building))
    return _finish(building, graph, inputs)


def _first(node: NodeMessage) -> str:
    return node.outputs[0] if node.outputs else ""


def _needed(graph: GraphMessage) -> list[tuple[int, NodeMessage]]:
    """The nodes that the outputs need, with their places, in order."""
    makers: dict[str, int] = {}
    for index, node in enumerate(graph.nodes):
        for name in filter(None, node.outputs):
            if name in makers:
                raise InvalidNetworkError(
                    f"{name!r} is made by two nodes, {makers[name]} and {index}",
                    field=f"node[{index}].output",
                )
            makers[name] = index
    wanted, found = [output.name for output in graph.outputs], set[int]()
    while wanted:
        maker = makers.get(wanted.pop())
        if maker is not None and maker not in found:
            found.add(maker)
            wanted.extend(filter(None, graph.nodes[maker].inputs))
    return [(index, graph.nodes[index]) for index in sorted(found)]


def _reads(graph: GraphMessage, nodes: Iterable[NodeMessage]) -> Counter[str]:
    reads = Counter(output.name for output in graph.outputs)
    for node in nodes:
        reads.update(filter(None, node.inputs))
    return reads


def _input_specs(given: list[ValueMessage], shapes: Mapping[str, Shape]) -> dict[str, TensorSpec]:
    """The network's inputs by ONNX's name."""
    if not given:
        raise InvalidNetworkError("the outputs do not depend on any input of the graph")
    names = [value.name for value in given]
    if len(names) == 1 and "" in shapes:
        shapes = {names[0]: shapes[""]}
    unknown = sorted(set(shapes) - set(names))
    if unknown:
        raise InvalidArgumentError(
            f"{unknown[0][:100]!r} is not one of the inputs {', '.join(names)[:500]}",
            field="inputs",
        )
    return {value.name: _input_spec(value, shapes.get(value.name)) for value in given}


def _input_spec(value: ValueMessage, shape: Shape | None) -> TensorSpec:
    with error_at(f"graph.input[{value.name!r}]"):
        if shape is None:
            sizes = [dimension.size for dimension in value.dimensions or ()]
            shape = tuple(UNKNOWN_SIZE if not _is_size(size) else int(size or 0) for size in sizes)
            if sizes and not shape[0]:
                shape = (SYMBOLIC_BATCH, *shape[1:])
        spec = TensorSpec(value.name, element_type(value.data_type), shape)
        spec.check()
    return spec


def _is_size(size: int | None) -> bool:
    """Whether an axis is fixed; exporters write 0 and -1 too for one that is not."""
    return size is not None and 0 < size <= MAX_DIMENSION


def _batch_of(given: list[ValueMessage]) -> int | None:
    first = (value.dimensions[0].size for value in given if value.dimensions)
    size = next(first, None)
    return size if _is_size(size) else None


def _bind_inputs(building: Building, specs: Mapping[str, TensorSpec]) -> tuple[TensorSpec, ...]:
    renamed = []
    for name, spec in specs.items():
        if len(spec.shape) < 2:
            raise UnsupportedError(
                f"the input has the shape {spec.shape}, and must have a batch and something behind "
                "it; give its shape when you import the model, such as (1, 3, 224, 224)",
                field=f"graph.input[{name!r}]",
            )
        own = evolve(spec, name=building.names.take(name))
        sample = tuple(size or None for size in spec.shape[1:])
        building.bind(name, Value(own.name, own.dtype, sample))
        renamed.append(own)
    return tuple(renamed)


def _bind_initializers(building: Building, initializers: Iterable[TensorMessage]) -> None:
    for index, tensor in enumerate(initializers):
        if tensor.name in building.tensors:
            raise InvalidNetworkError(
                f"{tensor.name!r} is the name of two tensors", field=f"graph.initializer[{index}]"
            )
        if building.reads[tensor.name]:
            with error_at(f"graph.initializer[{tensor.name!r}]"):
                building.bind(tensor.name, building.store(tensor))


def _translate(call: Call) -> None:
    node, building = call.node, call.building
    if node.domain not in OWN_DOMAINS:
        call.refuse(f"the domain {node.domain!r} is not known; only ONNX's own operators are read")
    for name in filter(None, node.inputs):
        if name not in building.tensors:
            raise InvalidNetworkError(
                f"it reads {name!r}, which no node before it makes, nor the graph has"
            )
    tensors = [building.tensors[name] for name in node.inputs if name]
    if node.op == "Shape" or (
        node.op in FOLDS and all(isinstance(tensor, Constant) for tensor in tensors)
    ):
        call.put(_folded(call))
    elif node.op in OPERATORS:
        OPERATORS[node.op](call)
    else:
        known = ", ".join(sorted(OPERATORS))
        call.refuse(f"the operator {node.op[:100]} is not known; these are: {known}")
    call.finish()


def _folded(call: Call) -> Constant:
    try:
        return FOLDS[call.node.op](call)
    except (ArithmeticError, IndexError, TypeError, ValueError) as error:
        if isinstance(error, ConvserveError):
            raise
        raise InvalidArgumentError(f"its constants do not fit each other: {error}") from error


def _finish(building: Building, graph: GraphMessage, inputs: tuple[TensorSpec, ...]) -> Imported:
    outputs: dict[str, None] = {}
    for name in _output_names(graph):
        value = _output(building, name)
        if value.name in outputs or value.name not in building.layers:
            value = _copy(building, name, value)
        outputs[value.name] = None
    names = _reached(building, outputs)
    layers = [layer for name, layer in building.layers.items() if name in names]
    kept = tuple(spec for spec in inputs if spec.name in names)
    network = Network(layers, [spec.name for spec in kept], list(outputs))
    return Imported(network, kept, _weights(building, names), tuple(building.notes))


def _output_names(graph: GraphMessage) -> list[str]:
    names = [output.name for output in graph.outputs]
    for name, count in Counter(names).items():
        if count > 1:
            raise InvalidNetworkError(
                f"the output {name[:100]!r} is named {count} times; name it once",
                field="graph.output",
            )
    return names


def _output(building: Building, name: str) -> Value:
    tensor = building.tensors.get(name)
    if isinstance(tensor, Value):
        return tensor
    if tensor is None:
        raise InvalidNetworkError(f"no node makes the output {name[:100]!r}", field="graph.output")
    raise UnsupportedError(
        f"the output {name[:100]!r} is a constant: it does not depend on the inputs; remove it",
        field="graph.output",
    )


def _copy(building: Building, name: str, value: Value) -> Value:
    """An output that is an input, or another output: a slice of all of it."""
    building.note(f"the output {name[:100]!r} is a copy of {value.name!r}")
    layer = Slice(1, name=building.names.take(name))
    return building.add(layer, [value], {}, value.shape)


def _reached(building: Building, outputs: Iterable[str]) -> set[str]:
    """The layers and inputs that the outputs need: those read only for their sizes are not."""
    wanted, found = list(outputs), set[str]()
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.add(name)
            wanted.extend(building.layers[name].inputs or () if name in building.layers else ())
    return found


def _weights(building: Building, names: set[str]) -> tuple[Weight, ...]:
    return tuple(
        weight for name, weights in building.weights.items() if name in names for weight in weights
    )
