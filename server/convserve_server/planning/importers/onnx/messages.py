"""The messages of ONNX that matter to a network, as far as they matter.

https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from functools import partial
from typing import Any

from attrs import field, frozen
from convserve.errors import InvalidArgumentError, UnsupportedError

from convserve_server.planning.importers.imported import Span
from convserve_server.planning.importers.onnx.wire import (
    Field,
    Walk,
    packed_floats,
    packed_ints,
    parse,
    read_float,
    read_int,
    read_span,
    read_text,
)

OWN_DOMAINS = ("", "ai.onnx")
MAX_NODES = 32_768
MAX_INITIALIZERS = 65_536  # and inputs, for old files name each initializer there too
MAX_PARTS = 1024  # inputs, outputs and attributes of one node; inputs and outputs of the graph
MAX_NUMBERS = 1 << 20  # of an attribute


@frozen
class TensorMessage:
    """A tensor that the file holds. `floats` and the like are where its numbers lie, packed."""

    name: str = ""
    data_type: int = 0
    dims: list[int] = field(factory=list)
    raw: Span | None = None
    floats: list[Span] = field(factory=list)
    ints: list[Span] = field(factory=list)
    longs: list[Span] = field(factory=list)
    doubles: list[Span] = field(factory=list)
    unsigned: list[Span] = field(factory=list)
    location: int = 0
    external: list[Span] = field(factory=list)
    segment: Span | None = None


@frozen
class AttributeMessage:
    """A named setting of a node."""

    name: str = ""
    type: int = 0
    number: float | None = None
    integer: int | None = None
    text: Span | None = None
    tensor: TensorMessage | None = None
    numbers: list[float] = field(factory=list)
    integers: list[int] = field(factory=list)
    graph: Span | None = None
    graphs: list[Span] = field(factory=list)
    reference: str = ""


@frozen
class NodeMessage:
    """One operator in its place."""

    inputs: list[str] = field(factory=list)
    outputs: list[str] = field(factory=list)
    name: str = ""
    op: str = ""
    domain: str = ""
    attributes: list[AttributeMessage] = field(factory=list)


@frozen
class Dimension:
    """The size of an axis, or the name of an open one, or neither."""

    size: int | None = None
    label: str = ""


@frozen
class ValueMessage:
    """A graph's input or output. `dimensions` is None where its rank is not told."""

    name: str = ""
    data_type: int = 0
    dimensions: tuple[Dimension, ...] | None = None


@frozen
class GraphMessage:
    """The nodes, in an order in which they can run, and the tensors that the file holds."""

    nodes: list[NodeMessage] = field(factory=list)
    initializers: list[TensorMessage] = field(factory=list)
    sparse: list[Span] = field(factory=list)
    inputs: list[ValueMessage] = field(factory=list)
    outputs: list[ValueMessage] = field(factory=list)


@frozen
class ModelMessage:
    """A file: the graph, and the version of each domain's operators."""

    opsets: list[dict[str, Any]] = field(factory=list)
    graph: Span | None = None


def _message(fields: dict[int, Field], cls: type[Any], what: str, walk: Walk, value: Any) -> Any:
    return cls(**parse(walk, read_span(walk, value), fields, what))


def _value_info(walk: Walk, value: Any) -> ValueMessage:
    """The type is three messages deep; only tensors have one that is read."""
    parsed = parse(walk, read_span(walk, value), _VALUE, "input or output")
    tensor = parsed.get("type", {}).get("tensor", {})
    shape = tensor.get("shape")
    dimensions = None if shape is None else tuple(Dimension(**d) for d in shape.get("dims", ()))
    return ValueMessage(parsed.get("name", ""), tensor.get("data_type", 0), dimensions)


def _parsed(fields: dict[int, Field], what: str, walk: Walk, value: Any) -> dict[str, Any]:
    return parse(walk, read_span(walk, value), fields, what)


def _single_ints(walk: Walk, value: Any) -> Span:
    raise UnsupportedError(
        "a tensor has its numbers one by one, and only packed ones are read; save the model again "
        "with onnx.save"
    )


def _packed_span(walk: Walk, span: Span) -> list[Span]:
    return [span]


def _numbers(name: str) -> Field:
    """A field of a tensor's values: where they lie, for they may be many."""
    return Field(name, _single_ints, MAX_NUMBERS, packed=_packed_span)


_TENSOR = {
    1: Field("dims", read_int, MAX_NUMBERS, packed=packed_ints),
    2: Field("data_type", read_int),
    3: Field("segment", read_span),
    4: _numbers("floats"),
    5: _numbers("ints"),
    7: _numbers("longs"),
    8: Field("name", read_text),
    9: Field("raw", read_span),
    10: _numbers("doubles"),
    11: _numbers("unsigned"),
    13: Field("external", read_span, MAX_PARTS),
    14: Field("location", read_int),
}
_read_tensor = partial(_message, _TENSOR, TensorMessage, "tensor")
_ATTRIBUTE = {
    1: Field("name", read_text),
    2: Field("number", read_float),
    3: Field("integer", read_int),
    4: Field("text", read_span),
    5: Field("tensor", _read_tensor),
    6: Field("graph", read_span),
    7: Field("numbers", read_float, MAX_NUMBERS, packed=packed_floats),
    8: Field("integers", read_int, MAX_NUMBERS, packed=packed_ints),
    11: Field("graphs", read_span, MAX_PARTS),
    20: Field("type", read_int),
    21: Field("reference", read_text),
}
_NODE = {
    1: Field("inputs", read_text, MAX_PARTS),
    2: Field("outputs", read_text, MAX_PARTS),
    3: Field("name", read_text),
    4: Field("op", read_text),
    5: Field("attributes", partial(_message, _ATTRIBUTE, AttributeMessage, "attribute"), MAX_PARTS),
    7: Field("domain", read_text),
}
_DIMENSION = {1: Field("size", read_int), 2: Field("label", read_text)}
_SHAPE = {1: Field("dims", partial(_parsed, _DIMENSION, "dimension"), MAX_PARTS)}
_TENSOR_TYPE = {
    1: Field("data_type", read_int),
    2: Field("shape", partial(_parsed, _SHAPE, "shape")),
}
_TYPE = {1: Field("tensor", partial(_parsed, _TENSOR_TYPE, "type"))}
_VALUE = {1: Field("name", read_text), 2: Field("type", partial(_parsed, _TYPE, "type"))}
_GRAPH = {
    1: Field("nodes", partial(_message, _NODE, NodeMessage, "node"), MAX_NODES),
    5: Field("initializers", _read_tensor, MAX_INITIALIZERS),
    11: Field("inputs", _value_info, MAX_INITIALIZERS),
    12: Field("outputs", _value_info, MAX_PARTS),
    15: Field("sparse", read_span, MAX_PARTS),
}
_OPSET = {1: Field("domain", read_text), 2: Field("version", read_int)}
_MODEL = {
    7: Field("graph", read_span),
    8: Field("opsets", partial(_parsed, _OPSET, "operator set"), MAX_PARTS),
}


def read_model(data: memoryview) -> tuple[int, GraphMessage]:
    """The version of ONNX's own operators, and the graph, of a file's bytes.

    Raises MalformedRequestError, InvalidArgumentError, TooLargeError, UnsupportedError.
    """
    walk = Walk(data)
    model = ModelMessage(**parse(walk, Span(0, len(data)), _MODEL, "ONNX model"))
    if model.graph is None:
        raise InvalidArgumentError("the file has no graph: it is empty, or no ONNX model")
    graph = GraphMessage(**parse(walk, model.graph, _GRAPH, "graph"))
    if graph.sparse:
        raise UnsupportedError(
            "the graph has sparse initializers, and only dense ones are read; store them dense"
        )
    versions = [o.get("version", 0) for o in model.opsets if o.get("domain", "") in OWN_DOMAINS]
    if len(versions) != 1:
        raise InvalidArgumentError(
            f"the file names {len(versions)} versions of ONNX's operators (opset_import), and "
            "must name one"
        )
    return versions[0], graph
