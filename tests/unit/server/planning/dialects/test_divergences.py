"""24 layers on which frameworks disagree, as they were measured: each cell is predicted.

A cell is a shape, the values, an error, or a sentence; `SAID` has what the sentences mean.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from convserve_server.planning.dialects import DIALECTS
from convserve_server.planning.dialects.comparing import render
from convserve_server.planning.dialects.dialect import RefusedError
from convserve_server.planning.dialects.words import POOLS, Words

DATA = Path(__file__).parents[4] / "data" / "framework_divergences.json"
ROWS = {row["id"]: row for row in json.loads(DATA.read_text())["rows"]}
RUNTIMES = {each.name: each for dialect in DIALECTS.values() for each in dialect.runtimes}

# How the data names runtimes where it adds what was asked of them.
NAMES = {
    "keras_same": "keras",
    "keras_layer": "keras",
    "jax_same": "jax",
    "numpy_same_offset_in_full": "numpy",
    "scipy_same_offset": "scipy",
    "torch_same_offset": "torch",
    "matlab_octave_same_offset": "octave",
    "scipy_ndimage_convolve1d_offset": "scipy_ndimage_convolve1d",
    "scipy_ndimage_correlate1d_offset": "scipy_ndimage_correlate1d",
    "numpy_len": "numpy",
    "scipy_len": "scipy",
    "scipy_signal_len": "scipy",
    "jax_numpy_len": "jax_numpy",
    "jax_scipy_len": "jax_scipy",
    "matlab_len": "matlab_conv",
}
NOT_A_RUNTIME = {("D23", "keras_own_numpy_reference_in_conv_test")}
NAN, INF = math.nan, math.inf

# What a sentence of the data says: values, a shape, or "error" / "accepted".
SAID = {
    ("D03", "openvino"): [NAN],  # memory that nobody wrote: any value
    ("D12", "onnx_infer"): (1, 1),
    ("D15", "openvino"): (1, 1, 2),
    ("D15", "caffe"): (1, 1, 2),
    ("D17", "onnx_ref"): [NAN, 2, 4, 5, NAN],
    ("D17", "openvino"): [-INF, 2, 4, 5, -INF],
    ("D18", "onnx_ref"): [3, 5],
    ("D19", "onnxruntime"): [4, 6, 8, 8],
    ("D24", "onnx"): "error",
    ("D24", "torch"): "error",
}
X = {"D16": range(1, 7), "D17": range(1, 6), "D18": range(1, 6), "D19": range(1, 10)}
X |= {"D03": (), "D09": (1, 10), "D10": (1, 10), "D23": range(1, 7), "D24": range(1, 7)}
W = {"D03": (1, 1), "D09": (1, 2, 3), "D10": (1, 2, 3), "D23": (1, 1, 1), "D24": (1, 1)}
KINDS = {"Conv": "conv", "ConvTranspose": "conv_transpose", "MaxPool": "max_pool"}
KINDS |= {"AveragePool": "avg_pool"}
SIGNALS = {
    "D20": ("same", 9, 4),
    "D21": ("same", 3, 5),
    "D22": ("valid", 3, 5),
}

CELLS = [
    pytest.param(id_, key, expected, id=f"{id_}-{key}")
    for id_, row in ROWS.items()
    for key, expected in row["results"].items()
    if (id_, key) not in NOT_A_RUNTIME
]


def test_there_are_24_rows_and_every_cell_names_a_runtime():
    assert len(ROWS) == 24
    names = {NAMES.get(key, key) for row in ROWS.values() for key in row["results"]}
    left_out = {key for _, key in NOT_A_RUNTIME}
    assert names - left_out - {"onnx"} <= RUNTIMES.keys()  # "onnx" is shape inference


@pytest.mark.parametrize(("id_", "key", "expected"), CELLS)
def test_cell(id_, key, expected):
    runtime = RUNTIMES["onnx_infer" if key == "onnx" else NAMES.get(key, key)]
    words, length = words_of_row(id_)
    expected = meaning(id_, key, expected)
    if expected == "error":
        with pytest.raises(RefusedError):
            runtime.place(words, (1, length))
        return
    [found] = runtime.place(words, (1, length))
    if id_ == "D20":
        assert 3 - found.low == expected
    elif id_ in SIGNALS:
        assert found.size == expected
    elif isinstance(expected, tuple):
        assert ((1, 1) if found.size is None else (1, 1, found.size)) == expected
    elif expected != "accepted":
        assert values(words, found, id_) == pytest.approx(expected, nan_ok=True)


def meaning(id_, key, expected):
    if (id_, key) in SAID:
        return SAID[id_, key]
    if isinstance(expected, str):
        return "accepted" if expected == "accepted" else "error"
    has_values = id_ in X and not (id_ in ("D18", "D19") and key == "onnx_infer")
    return expected if has_values or isinstance(expected, int) else tuple(expected)


def words_of_row(id_):
    row = ROWS[id_]
    if id_ in SIGNALS:
        mode, length, kernel = SIGNALS[id_]
        return Words(kind="conv", kernel_size=(kernel,), padding=mode).spread(1), length
    if id_ == "D23":
        return Words(kind="conv", kernel_size=(3,), stride=(2,), padding="causal").spread(1), 6
    if id_ == "D24":
        return Words(kind="conv", kernel_size=(2,), padding=((-1, -1),)).spread(1), 6
    shapes = row["input_shapes"]
    length = len(X[id_]) if isinstance(shapes, str) else shapes[0][2]
    attributes = dict(row["attrs"])
    if len(shapes) == 2:
        attributes["kernel_shape"] = [shapes[1][2]]
    elif id_ in W:
        attributes["kernel_shape"] = [len(W[id_])]
    text = ", ".join(f"{name}={value!r}" for name, value in attributes.items())
    return DIALECTS["onnx"].read(f"{row['op']}({text})").spread(1), length


def values(words, found, id_):
    """The values that follow from where the windows are."""
    x = list(X[id_])
    if words.kind == "conv_transpose":
        return cut(x, W[id_], words.stride[0], found)
    taps = range(words.kernel_size[0])
    rows = [
        [window * words.stride[0] - found.low + tap * words.dilation[0] for tap in taps]
        for window in range(found.size)
    ]
    if words.kind in POOLS:
        return [pooled(words, x, row, found) for row in rows]
    if "nobody wrote" in found.note:
        return [NAN for _ in rows]
    weights = W[id_]
    return [
        sum(w * x[i] for w, i in zip(weights, row, strict=True) if 0 <= i < len(x)) for row in rows
    ]


def cut(x, weights, stride, found):
    full = [0] * ((len(x) - 1) * stride + len(weights))
    for i, value in enumerate(x):
        for tap, weight in enumerate(weights):
            full[i * stride + tap] += value * weight
    return full[found.low : found.low + found.size]


def pooled(words, x, row, found):
    inside = [x[i] for i in row if 0 <= i < len(x)]
    if words.kind == "max_pool":
        empty = NAN if "not a number" in found.note else -INF
        return max(inside, default=empty)
    padded = len(row) if "whole kernel" in found.note else sum(i < len(x) + 1 for i in row)
    return sum(inside) / padded


def test_the_whole_comparison_says_so_too():
    words = DIALECTS["onnx"].read("MaxPool(kernel_shape=[1,1], strides=[3,3], ceil_mode=1)")
    rows = render(words.layer(), words, (1, 3, 3), 1, everyone=True)
    outcomes = {row.runtime: row.outcome for row in rows if row.runtime}
    assert outcomes["caffe"] == outcomes["openvino"] == "other_shape"
    assert outcomes["torch"] == outcomes["onnxruntime"] == "same"


@pytest.mark.parametrize(
    ("text", "length", "shift"),
    [
        # ONNX Runtime 1.31.1, on 0, 1, 2, ...: 1 and 5 of 8; 1.5 and 6.5 of 9; 2 and 8 of 12
        ("AveragePool(kernel_shape=[1], strides=[4], auto_pad='SAME_UPPER')", 8, -1),
        ("AveragePool(kernel_shape=[2], strides=[5], auto_pad='SAME_UPPER')", 9, -1),
        ("AveragePool(kernel_shape=[2], strides=[5], auto_pad='SAME_LOWER')", 9, 0),
        ("Conv(W=[1,1,1], strides=[6], auto_pad='SAME_UPPER')", 12, -2),
        ("Conv(W=[1,1,1], strides=[4], auto_pad='SAME_LOWER')", 8, 0),
    ],
)
def test_onnx_runtime_begins_later_where_windows_leave_gaps(text, length, shift):
    words = DIALECTS["onnx"].read(text)
    rows = render(words.layer(), words, (1, length), 1, everyone=True)
    (row,) = (row for row in rows if row.runtime == "onnxruntime")
    assert row.outcome == ("shifted" if shift else "same")
    assert row.shift == (shift,)


def test_every_message_names_what_is_wrong():
    words = DIALECTS["onnx"].read("ConvTranspose(W=[1,1,3], strides=[2], output_padding=[2])")
    rows = render(words.layer(), words, (1, 5), 1, everyone=True)
    refusals = {row.runtime: row.message for row in rows if row.outcome == "refused"}
    named = [refusals[name] for name in ("torch", "keras", "onnxruntime")]
    assert all(re.search("output.padding", message) for message in named)
