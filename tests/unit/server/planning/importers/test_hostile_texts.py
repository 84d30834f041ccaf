"""Files that were damaged: each is read, or refused as a wrong input, and quickly either way."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from convserve.errors import ConvserveError
from convserve_server.planning.importers.caffe import read_caffe
from convserve_server.planning.importers.darknet import read_darknet
from convserve_server.planning.importers.keras import read_keras

from tests import caffe_models

KERAS = {
    "class_name": "Functional",
    "config": {
        "name": "m",
        "layers": [
            {
                "class_name": "InputLayer",
                "name": "x",
                "config": {"name": "x", "batch_shape": [None, 8, 8, 4], "dtype": "float32"},
                "inbound_nodes": [],
            },
            {
                "class_name": "Conv2D",
                "name": "c",
                "config": {"name": "c", "filters": 4, "kernel_size": [3, 3], "padding": "same"},
                "inbound_nodes": [[["x", 0, 0, {}]]],
            },
            {
                "class_name": "TimeDistributed",
                "name": "t",
                "config": {
                    "layer": {"class_name": "Dense", "config": {"units": 4, "activation": "relu"}}
                },
                "inbound_nodes": [[["c", 0, 0, {}]]],
            },
            {
                "class_name": "Add",
                "name": "a",
                "config": {"name": "a"},
                "inbound_nodes": [
                    {
                        "args": [
                            [
                                {"class_name": "k", "config": {"keras_history": ["c", 0, 0]}},
                                {"class_name": "k", "config": {"keras_history": ["t", 0, 0]}},
                            ]
                        ],
                        "kwargs": {},
                    }
                ],
            },
        ],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["a", 0, 0]],
    },
}
FILES = {
    "keras": (read_keras, json.dumps(KERAS).encode()),
    "caffe": (read_caffe, caffe_models.LENET),
    "darknet": (read_darknet, Path("tests/data/darknet/yolov3-tiny.cfg").read_bytes()),
}
OUTCOMES = {"READ", "INVALID_ARGUMENT", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED"}
PARTS = (
    b"", b"0", b"-1", b"99999999999", b"1e999", b"null", b"true", b'""', b"[", b"]", b"{", b"}",
    b"\x00", b"\xff", b"\n", b"[]", b"{}", b'{"a": 1}', b"input", b"NaN", b'"x"', b",",
)  # fmt: skip
WRONG = (None, True, -1, 2**70, 1e300, "x", "", [], {}, [[]], [None], {"a": []})


def damaged(text, rng):
    """Up to four places cut out, doubled, or replaced by something else."""
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(text))
        end = min(len(text), start + rng.choice((0, 1, 2, 8, 40)))
        middle = rng.choice((b"", text[start:end] * 2, rng.choice(PARTS)))
        text = text[:start] + middle + text[end:]
    return text


@pytest.mark.parametrize("name", FILES)
def test_the_file_itself_is_read(name):
    read, text = FILES[name]
    assert read(text).network.layers


def outcome(read, text):
    """The name of the error's code, or `READ`."""
    try:
        read(text)
    except ConvserveError as error:
        return error.code_name
    return "READ"


@pytest.mark.parametrize("name", FILES)
def test_damage_is_refused_as_wrong_input(name):
    read, text = FILES[name]
    rng = random.Random(1)
    counts = Counter(outcome(read, damaged(text, rng)) for _ in range(500))
    assert counts.keys() <= OUTCOMES
    assert counts["INVALID_ARGUMENT"] > 100


def values_of(data, path=()):
    """The path of every value within JSON's data."""
    yield path
    keys = data if isinstance(data, dict) else range(len(data) if isinstance(data, list) else 0)
    for key in keys:
        yield from values_of(data[key], (*path, key))


def replaced(data, path, value):
    if not path:
        return value
    copy = data.copy()
    copy[path[0]] = replaced(data[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_no_value_of_a_keras_file_can_be_anything(value):
    texts = (json.dumps(replaced(KERAS, path, value)).encode() for path in values_of(KERAS))
    assert {outcome(read_keras, text) for text in texts} <= OUTCOMES


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_caffe, b"#\n" * (1 << 20)),
        (read_caffe, b"a: " + b"9" * (1 << 20) + b"x"),
        (read_caffe, b"a: '" + b"\\x" * (1 << 19)),
        (read_caffe, b"a: " + b"'' " * (1 << 17)),
        (read_darknet, b"[net]\na=" + b"1," * (1 << 20)),
        (read_darknet, b"\n" * (1 << 20)),
        (read_keras, b"[" + b"9" * (1 << 20) + b"]"),
        (read_keras, b'"' + b"\\u0041" * (1 << 18) + b'"'),
    ],
    ids=range(8),
)
def test_long_texts_cost_little(read, text):
    """A megabyte of what a careless pattern tries in as many ways as it has characters."""
    assert outcome(read, text) in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")
