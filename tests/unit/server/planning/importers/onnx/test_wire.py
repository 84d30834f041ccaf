"""The walk over protobuf's bytes: what it finds, and what damaged and hostile files get."""

import random
from contextlib import suppress

import numpy as np
import onnx
import pytest
from convserve.errors import (
    ConvserveError,
    InvalidArgumentError,
    MalformedRequestError,
    TooLargeError,
)
from convserve_server.planning.importers.imported import Span
from convserve_server.planning.importers.onnx import read_onnx, wire
from convserve_server.planning.importers.onnx.messages import read_model
from onnx import helper

from tests.onnx_models import make_model, node


def small_model():
    weight = np.arange(36, dtype=np.float32).reshape(1, 4, 3, 3)
    return make_model(
        node("Conv", "x w", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        inputs={"x": ("N", 4, 6, None)},
        constants={"w": weight},
        opset=17,
    )


def varint(value):
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*parts, value))


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def model_with(*graph_fields):
    opset = field(8, b"\x10\x11")  # version 17
    return memoryview(opset + field(7, b"".join(graph_fields)))


def test_it_finds_what_protobuf_finds():
    model = small_model()
    opset, graph = read_model(memoryview(model.SerializeToString()))
    (node_message,), (tensor,) = graph.nodes, graph.initializers
    attributes = {each.name: each.integers for each in node_message.attributes}
    assert opset == 17
    assert (node_message.op, node_message.inputs, node_message.outputs) == (
        "Conv",
        ["x", "w"],
        ["y"],
    )
    assert attributes == {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    assert (tensor.name, tensor.dims, tensor.data_type) == ("w", [1, 4, 3, 3], 1)
    dimensions = graph.inputs[0].dimensions
    assert [(each.size, each.label) for each in dimensions] == [
        *((None, "N"), (4, ""), (6, ""), (None, ""))
    ]


def test_values_are_told_by_their_place():
    model = small_model()
    data = model.SerializeToString()
    _, graph = read_model(memoryview(data))
    raw = graph.initializers[0].raw
    assert data[raw.offset : raw.offset + raw.byte_count] == model.graph.initializer[0].raw_data


@pytest.mark.parametrize("number", [0, 1, -1, 127, 128, 2**63 - 1, -(2**63)])
def test_integers_of_any_size(number):
    data = varint(number % (1 << 64)) * 3
    decoded = wire.decode_varints(memoryview(data), Span(0, len(data)))
    assert decoded.tolist() == [number] * 3
    message = onnx.AttributeProto(name="a", i=number, type=onnx.AttributeProto.INT)
    made = helper.make_node("Flatten", ["x"], ["y"])
    made.attribute.append(message)
    model = make_model(made, inputs={"x": (1, 2)})
    _, graph = read_model(memoryview(model.SerializeToString()))
    assert graph.nodes[0].attributes[0].integer == number


def test_many_integers_are_decoded_piece_by_piece(monkeypatch):
    numbers = [random.Random(1).getrandbits(40) for _ in range(1000)]
    data = b"".join(map(varint, numbers))
    monkeypatch.setattr(wire, "_PIECE_BYTES", 64)
    assert wire.decode_varints(memoryview(data), Span(0, len(data))).tolist() == numbers


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\x80" * 11,
        b"\x0b",  # a group
        field(7, b"\x0a\x05ab"),  # a node that ends behind the graph
        b"\x3a\xff\xff\xff\xff\x7f",  # a graph of more bytes than there are
        bytes(model_with(field(1, field(4, b"\xff\xfe")))),  # a name that is no text
        bytes(model_with(field(1, b"\x20\x01"))),  # a name that is a number
    ],
)
def test_what_is_no_model(data):
    with pytest.raises(InvalidArgumentError):
        read_onnx(memoryview(data))


@pytest.mark.parametrize("seed", range(40))
def test_damage_is_told_or_harmless(seed):
    """No damage of a file gives anything but a network or an error of ours."""
    chance = random.Random(seed)
    data = bytearray(small_model().SerializeToString())
    for _ in range(chance.randint(1, 6)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    end = chance.choice([len(data), chance.randrange(len(data))])
    with suppress(ConvserveError):
        read_onnx(memoryview(data)[:end])


def test_a_file_of_countless_fields_ends_early(monkeypatch):
    monkeypatch.setattr(wire, "MAX_FIELDS", 1000)
    walk = wire.Walk(memoryview(b"\x78\x01" * 2000), 1000)  # of a field that nobody knows
    with pytest.raises(TooLargeError, match="more than 1000 fields"):
        wire.parse(walk, Span(0, 4000), {}, "message")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x0a\x00" * 40_000, "32768 nodes"),
        (b"\x2a\x00" * 70_000, "65536 initializers"),
        (field(1, b"\x0a\x00" * 1025), "1024 inputs"),
        (field(5, b"\x08\x01" * (2**20 + 1)), "1048576 dims"),
        (field(5, field(1, b"\x01" * (2**20 + 1))), "1048576 dims"),
    ],
)
def test_a_list_without_an_end_ends_early(data, what):
    with pytest.raises(TooLargeError, match=f"more than {what}"):
        read_onnx(model_with(data))


def test_a_long_name_is_refused():
    name = field(3, b"x" * 5000)
    with pytest.raises(InvalidArgumentError, match="5000 bytes, and the limit is 4096"):
        read_onnx(model_with(field(1, name)))


def test_numbers_that_end_nowhere():
    with pytest.raises(MalformedRequestError):
        wire.decode_varints(memoryview(b"\x80\x80"), Span(0, 2))
    with pytest.raises(MalformedRequestError):
        wire.decode_varints(memoryview(b"\x80" * 11 + b"\x01"), Span(0, 12))
